"""The feature stores, each through the same tests on the real series; and requests by entity and with history."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np
import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from almanac.core.errors import ServingError
from almanac.core.grid import Grid
from monitoring.metrics import Metrics
from serving.features.history_coverage import check_coverage
from serving.features.raw_schema import read_schema
from serving.features.records import EntityRequest
from serving.features.store.base import Store, StoreUnavailableError
from serving.features.store.memory import MemoryStore
from serving.features.store.observations import Ingestor
from serving.features.store.open import open_store
from serving.features.store.rows import pack_rows, row_size, unpack_rows
from serving.runtime.errors import HTTPError
from tests.support.server import (
    NUMBERS,
    ServerProcess,
    Start,
    as_row,
    free_port,
    simple_features,
    wait_for,
    write_model,
)
from tests.system.serving.test_operation import total

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None and not os.environ.get("CI"), reason="redis-server is not installed"
)


class Redis:
    """A redis-server of our own on a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """The command that starts it."""
        address = ["--port", str(self.port), "--bind", "127.0.0.1"]
        return ["redis-server", *address, "--dir", str(self.folder), "--save", ""]

    def start(self) -> None:
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL)
        import socket

        def listens() -> bool:
            assert self.process.poll() is None, "redis-server did not start"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
            except OSError:
                return False
            return True

        wait_for(listens)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=needs_redis)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    found: str = request.getfixturevalue("redis").url
    return found


def with_store(url: str, work: Callable[[Store], Any], namespace: str = "n") -> Any:
    async def run() -> Any:
        store = open_store(url, namespace, 3, 100)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def append(store: Store, entity: str, steps: list[int], rows: np.ndarray) -> int:
    return await store.append({entity: (steps, rows)})


async def fill(store: Store, entity: str, steps: list[int], rows: np.ndarray) -> int:
    return await store.fill({entity: (steps, rows)})


def test_a_store_gives_back_what_it_took(url: str) -> None:
    rows = np.arange(900.0).reshape(300, 3)
    rows[17, 1] = np.nan
    steps = [step for step in range(1000, 1300) if step != 1234]

    async def work(store: Store) -> None:
        await append(store, "a", steps, np.delete(rows, 234, axis=0))
        for end, count in ((1299, 100), (1233, 5), (1240, 20), (1310, 50), (1050, 60), (5000, 3)):
            expected = np.full((3, count), np.nan)
            for at, step in enumerate(range(end - count + 1, end + 1)):
                if step in steps:
                    expected[:, at] = rows[step - 1000]
            np.testing.assert_array_equal(await store.window("a", end, count), expected)
        assert await store.newest("a") == 1299
        assert await store.newest("b") is None
        assert np.isnan(await store.window("b", 1299, 10)).all()
        await append(store, "a", [1299], np.array([[7.0, 8.0, 9.0]]))
        np.testing.assert_array_equal((await store.window("a", 1299, 1))[:, 0], [7.0, 8.0, 9.0])

    with_store(url, work, namespace=f"t{time.time_ns()}")


def test_a_store_is_filled_beside_what_it_knows(url: str) -> None:
    async def work(store: Store) -> None:
        assert await store.newest(None) is None
        await append(store, "a", [1001, 1005], np.array([[7.0, np.nan, 9.0], [1.0, 2.0, 3.0]]))
        await append(store, "b", [2000], np.ones((1, 3)))
        assert await fill(store, "a", list(range(1000, 1004)), np.zeros((4, 3))) == 0
        expected = np.zeros((3, 7))
        expected[:, 1], expected[:, 4], expected[:, 5], expected[:, 6] = [7.0, np.nan, 9.0], np.nan, [1, 2, 3], np.nan
        np.testing.assert_array_equal(await store.window("a", 1006, 7), expected)
        assert [await store.newest(entity) for entity in ("a", "b", None)] == [1005, 2000, 2000]
        await fill(store, "a", [3000], np.ones((1, 3)))
        assert [await store.newest(entity) for entity in ("a", "b", None)] == [3000, 2000, 3000]

    with_store(url, work, namespace=f"f{time.time_ns()}")


def test_several_windows_are_each_what_one_is(url: str) -> None:
    async def work(store: Store) -> None:
        await append(store, "a", list(range(1000, 1600)), np.arange(1800.0).reshape(600, 3))
        await append(store, "b", [1500], np.ones((1, 3)))
        asked = [
            ("a", 1599, 90),
            ("a", 1300, 3),
            ("b", 1500, 25),
            ("a", 1610, 50),
            ("nobody", 1500, 7),
            ("a", 1599, 90),
        ]
        for several in (asked, asked[:1], []):
            found = await store.windows(several)
            for one, window in zip(several, found, strict=True):
                np.testing.assert_array_equal(window, await store.window(*one))

    with_store(url, work, namespace=f"w{time.time_ns()}")


@needs_redis
def test_many_windows_are_one_pipeline_even_where_the_script_is_not_known(redis: Redis) -> None:
    async def work(store: Any) -> None:
        await append(store, "a", list(range(1000, 1400)), np.arange(1200.0).reshape(400, 3))
        await store._client.script_flush()
        asked = [("a", 1399 - at, 100) for at in range(200)]
        expected = [await store.window(*one) for one in asked]
        await store._client.script_flush()
        np.testing.assert_array_equal(await store.windows(asked), expected)
        before = (await store._client.info("stats"))["total_reads_processed"]
        np.testing.assert_array_equal(await store.windows(asked), expected)
        assert (await store._client.info("stats"))["total_reads_processed"] - before < 20

    with_store(redis.url, work, namespace=f"p{time.time_ns()}")


@needs_redis
def test_more_reads_at_once_than_connections_wait_for_one(redis: Redis) -> None:
    async def work(store: Any) -> None:
        rows = np.arange(1500.0).reshape(500, 3)
        await append(store, "a", list(range(1000, 1500)), rows)
        found = await asyncio.gather(*(store.window("a", 1499, 200) for _ in range(300)))
        assert all((window == rows[300:].T).all() for window in found)
        assert len(await store._client.client_list()) <= 64

    # A loaded machine may take longer than the default allows to accept 64 connections at once.
    patient = f"{redis.url}?socket_timeout=20&socket_connect_timeout=20"
    with_store(patient, work, namespace=f"c{time.time_ns()}")


@needs_redis
def test_redis_keys_carry_schema_and_life(redis: Redis) -> None:
    async def work(store: Any) -> tuple[list[bytes], list[int]]:
        await append(store, "x", [5], np.ones((1, 3)))
        keys = [key async for key in store._client.scan_iter("almanac:2:v9:{x}*")]
        keys = [*sorted(keys), b"almanac:2:v9:newest"]
        return keys, [await store._client.ttl(key) for key in keys]

    keys, lives = with_store(redis.url + "?ttl=500", work, namespace="v9")
    assert keys == [b"almanac:2:v9:{x}", b"almanac:2:v9:{x}:0", b"almanac:2:v9:{x}:blocks", b"almanac:2:v9:newest"]
    assert all(490 < life <= 500 for life in lives)

    async def other(store: Store) -> Any:
        return await store.window("x", 5, 1)

    assert np.isnan(with_store(redis.url, other, namespace="v10")).all()


def test_a_store_that_is_not_there_says_so(tmp_path: Path) -> None:
    async def window(store: Store) -> None:
        await store.window("a", 5, 2)

    with pytest.raises(StoreUnavailableError, match="Redis"):
        with_store(f"redis://127.0.0.1:{free_port()}/0", window)
    (tmp_path / "file").write_text("this is not a database, but text that is long enough to tell")
    with pytest.raises(StoreUnavailableError, match="file"):
        with_store(f"sqlite:///{tmp_path}/file", window)


def observations(table: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: value.isoformat() if name == "timestamp" else value for name, value in row.items()}
        for row in table.to_dicts()
    ]


@pytest.fixture(scope="module")
def last_month(beijing: pl.DataFrame) -> pl.DataFrame:
    return beijing.tail(720)


def ingest(server: ServerProcess, table: pl.DataFrame, model: str = "air") -> None:
    answer = server.post(f"/v1/models/{model}:ingest", {"observations": observations(table)})
    assert (answer.status, answer.json) == (200, {"ingested": table.height}), answer.body


def test_an_entity_request_equals_the_batch_features(
    start: Start, url: str, beijing: pl.DataFrame, last_month: pl.DataFrame
) -> None:
    server = start("--feature-store", url)
    ingest(server, last_month)
    X = simple_features(beijing)[-690:]
    times = beijing["timestamp"].to_list()[-690:]
    for at in (0, 5, 300, 689):
        named = server.post("/v1/models/air:predict", {"instances": [as_row(X[at])]}).json
        row = {"entity": "default", "time": times[at].isoformat()}
        by_time = server.post("/v1/models/air:predict", {"instances": [row]})
        assert by_time.status == 200, by_time.body
        assert by_time.json["predictions"] == named["predictions"]
    inputs = [{"name": name, "shape": [1], "datatype": "BYTES", "data": [value]} for name, value in sorted(row.items())]
    tensors = server.post("/v2/models/pm25_1h/infer", {"inputs": inputs})
    assert tensors.json["outputs"][0]["data"] == [named["predictions"][0]["pm25_1h"]["prediction"]]
    assert "almanac_feature_store_duration_seconds_count" in server.get("/metrics").body.decode()


def test_history_in_the_request(server: ServerProcess, beijing: pl.DataFrame) -> None:
    part = beijing.slice(30_000, 25)
    X = simple_features(beijing)[30_024]
    history = {name: part[name].to_list() for name in (*NUMBERS, "cbwd")}
    row = {"time": part["timestamp"][24].isoformat(), "history": history}
    by_history = server.post("/v1/models/air:predict", {"instances": [row]})
    assert by_history.status == 200, by_history.body
    named = server.post("/v1/models/air:predict", {"instances": [as_row(X)]}).json
    assert by_history.json["predictions"] == named["predictions"]
    wrong = [
        ({**history, "temp": history["temp"][1:]}, "temp"),
        ({name: values[1:] for name, values in history.items()}, "25"),
        ({**history, "temp": [*history["temp"][:-1], "x"]}, "temp[24]"),
        ({**history, "cbwd": [*history["cbwd"][:-1], "up"]}, "cbwd[24]"),
        ({**history, "pres": [*history["pres"][:-1], 5.0]}, "beyond the declared range"),
        ({"temp": [1.0]}, "missing column"),
        (5, "object of columns"),
    ]
    for history_sent, word in wrong:
        answer = server.post("/v1/models/air:predict", {"instances": [{**row, "history": history_sent}]})
        assert answer.status == 400
        assert word in answer.json["error"], answer.json


def test_what_is_not_there_is_not_guessed(start: Start, beijing: pl.DataFrame, last_month: pl.DataFrame) -> None:
    server = start()
    ingest(server, last_month)
    end = beijing["timestamp"][-1]

    def ask(entity: Any, when: Any) -> tuple[int, str]:
        answer = server.post("/v1/models/pm25_1h:predict", {"instances": [{"entity": entity, "time": when}]})
        return answer.status, str(answer.json.get("error", ""))

    assert ask("default", end.isoformat())[0] == 200
    status, message = ask("default", (end + timedelta(hours=1)).isoformat())
    assert status == 409
    assert end.isoformat() in message
    assert ask("nowhere", end.isoformat())[0] == 409
    assert ask("default", (end - timedelta(minutes=7)).isoformat())[0] == 400
    for bad in ("yesterday", 5, None, "2014-13-01T00:00:00", "0001-01-01T00:00:00", "9999-12-31T23:00:00-23:00"):
        assert ask("default", bad)[0] == 400
    assert ask(5, end.isoformat())[0] == 400


def test_a_thin_history_is_told_and_a_thinner_one_refused(
    start: Start, beijing: pl.DataFrame, last_month: pl.DataFrame
) -> None:
    server = start()  # its model looks back on 25 rows
    when = last_month["timestamp"][-1].isoformat()
    body: dict[str, Any] = {"instances": [{"entity": "default", "time": when}]}

    def warnings(model: str = "pm25_1h") -> list[str]:
        answer = server.post(f"/v1/models/{model}:predict", body)
        assert answer.status == 200, answer.body
        found: list[str] = answer.json.get("warnings", [])
        return [line for line in found if "looked back on" in line]

    ingest(server, last_month[-2:])
    answer = server.post("/v1/models/pm25_1h:predict", body)
    assert answer.status == 409
    assert "only 2 of the 25 rows looked back on are known, fewer than 10%" in answer.json["error"]
    ingest(server, last_month[-3:])
    told = "instances[0]: only 3 of the 25 rows looked back on are known"
    assert [warnings(), warnings("air")] == [[told], [told]]
    ingest(server, last_month[-12:])
    assert warnings() == ["instances[0]: only 12 of the 25 rows looked back on are known"]
    ingest(server, last_month[-13:])
    assert warnings() == []
    early = {"entity": "default", "time": last_month["timestamp"][-13].isoformat()}
    inputs = [{"name": name, "shape": [1], "datatype": "BYTES", "data": [value]} for name, value in early.items()]
    assert server.post("/v2/models/pm25_1h/infer", {"inputs": inputs}).status == 409
    holes = {name: [None] * 24 + [last_month[name][-1]] for name in (*NUMBERS, "cbwd")}
    body = {"instances": [{"time": when, "history": holes}]}
    assert warnings() == ["instances[0]: only 1 of the 25 rows looked back on are known"]
    body = {"instances": [{"time": when, "history": holes}] * 8}
    found = server.post("/v1/models/pm25_1h:predict", body).json["warnings"]
    assert (len(warnings()), found[5]) == (5, "3 more rows look back on as little")


def test_rows_are_known_by_a_column_that_must_have_a_value_or_by_any() -> None:
    moment = EntityRequest("instances[0]", "default", "", None)
    rows = np.ones((3, 20))
    rows[0, :15] = np.nan
    assert check_coverage(rows, moment, None) is None
    assert check_coverage(rows, moment, 1) is None
    assert check_coverage(rows, moment, 0) == "instances[0]: only 5 of the 20 rows looked back on are known"
    rows[:, :12] = np.nan
    assert check_coverage(rows, moment, None) == "instances[0]: only 8 of the 20 rows looked back on are known"


def test_the_age_of_the_data_is_that_of_the_newest_observation(
    start: Start, tmp_path: Path, last_month: pl.DataFrame
) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    server = start("--feature-store", store)

    def shown(name: str, of: ServerProcess) -> dict[str, float]:
        found = [line for line in of.get("/metrics").body.decode().splitlines() if line.startswith(name + "{")]
        return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in found}

    def ages(seconds: float, of: ServerProcess = server) -> bool:
        found = shown("almanac_data_age_seconds", of)
        return set(found) == {"pm25_1h", "pm25_6h"} and all(abs(age - seconds) < 60 for age in found.values())

    assert shown("almanac_data_age_seconds", server) == {}
    ingest(server, last_month)
    end = last_month["timestamp"][-1].replace(tzinfo=UTC).timestamp()
    assert set(shown("almanac_data_newest_timestamp_seconds", server).values()) == {end}
    assert ages(time.time() - end)
    late = {"instances": [{"entity": "default", "time": "3005-01-01T00:00:00"}]}
    assert server.post("/v1/models/air:predict", late).status == 409
    assert ages(time.time() - end)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    fresh = observations(last_month[-1:])[0] | {"timestamp": hour.replace(tzinfo=None).isoformat()}
    assert server.post("/v1/models/air:ingest", {"observations": [fresh]}).status == 200
    assert ages(time.time() - hour.timestamp())
    other = start("--feature-store", store)  # it knows without having been told, once the store is open
    wait_for(lambda: shown("almanac_data_age_seconds", other))
    assert ages(time.time() - hour.timestamp(), other)


def test_the_future_is_not_observed_and_what_is_too_old_is_told(start: Start, last_month: pl.DataFrame) -> None:
    server = start()
    row = observations(last_month[-1:])[0]

    def post(*times: str) -> Any:
        answer = server.post("/v1/models/air:ingest", {"observations": [row | {"timestamp": when} for when in times]})
        return answer.status, answer.json

    now = datetime.now(UTC)
    soon, late = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H}:00:00" for hours in (23, 26))
    status, document = post(row["timestamp"], late)
    assert status == 400
    assert f"observations[1].timestamp: '{late}' lies in the future" in document["error"]
    assert post("2999-01-01T00:00:00")[0] == 400
    assert post("2014-01-01T00:00:00", "2014-01-02T00:00:00") == (200, {"ingested": 2})
    assert post(soon) == (200, {"ingested": 1})
    # The store keeps the newest 1024 rows, however far apart they are, and up to a block of 64 more.
    hours = [f"{datetime(2013, 1, 1) + timedelta(hours=hour):%Y-%m-%dT%H}:00:00" for hour in range(1200)]
    status, document = post(*hours)
    assert (status, document["ingested"] + document["dropped"]) == (200, 1200)
    assert 1021 <= document["ingested"] <= 1021 + 64  # three newer rows are there
    assert post("2014-01-03T00:00:00", "2010-01-01T00:00:00") == (200, {"ingested": 1, "dropped": 1})
    assert post("2010-01-01T00:00:00", "2010-01-02T00:00:00") == (200, {"ingested": 0, "dropped": 2})


def test_history_is_there_when_the_server_is_ready(start: Start, tmp_path: Path, last_month: pl.DataFrame) -> None:
    path, store = tmp_path / "rows.parquet", f"sqlite:///{tmp_path}/store.db"
    last_month.write_parquet(path)
    when = last_month["timestamp"]

    def answer(server: ServerProcess, at: int) -> Any:
        body = {"instances": [{"entity": "default", "time": when[at].isoformat()}]}
        found = server.post("/v1/models/pm25_1h:predict", body)
        assert found.status == 200, found.body
        return found.json["predictions"]

    first = start("--history", str(path), "--feature-store", store)
    assert [
        line for line in first.get("/metrics").body.decode().splitlines() if "data_newest_timestamp_seconds{" in line
    ]
    expected = [answer(first, at) for at in (100, 700, 719)]
    corrected = last_month[700:701].with_columns(pl.lit(900.0).alias("pm25"))
    empty = f"sqlite:///{tmp_path}/empty.db"
    early = start("--feature-store", empty)  # one row is there before the history is
    ingest(early, corrected)
    second = start("--history", str(path), "--feature-store", empty)
    assert [answer(second, at) for at in (100, 719)] == [expected[0], expected[2]]
    assert answer(second, 700) != expected[1]


def test_the_newest_rows_of_each_entity_are_taken(tmp_path: Path) -> None:
    from serving.operations.warmup import read_newest, reader

    older: dict[str, str] = {}

    def found(path: Path, ingestor: Ingestor, count: int) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            async with reader() as child:
                history = await read_newest(child, path, ingestor, count)
                older.update(history.older)
                return history.rows

        return asyncio.run(read())

    columns = [{"name": name, "type": "float", "nullable": True} for name in ("a", "b")]
    schema = read_schema([{"name": "time", "type": "timestamp"}, *columns], Grid(3_600_000_000))
    times = pl.datetime_range(datetime(2020, 1, 1), datetime(2020, 1, 1, 9), "1h", eager=True)
    one = pl.DataFrame({"time": times, "a": [*map(float, range(9)), None], "b": [None] * 7 + [1.0, float("nan"), None]})
    table = pl.concat([one.with_columns(place=pl.lit(place), other=1) for place in ("x", "y")]).sort("time", "place")
    table.write_parquet(tmp_path / "table.parquet")
    ingestor = Ingestor(MemoryStore(2, 10), schema, "place", Metrics(CollectorRegistry()))
    rows = found(tmp_path / "table.parquet", ingestor, 2)
    assert [(row["place"], row["time"], row["a"], row["b"]) for row in rows] == [
        (place, f"2020-01-01T0{hour}:00:00", float(hour), 1.0 if hour == 7 else None)
        for hour in (7, 8)
        for place in ("x", "y")
    ]
    assert set(rows[0]) == {"time", "place", "a", "b"}
    assert older == dict.fromkeys(("x", "y"), "2020-01-01T06:00:00")  # the newest rows that were left out
    alone = Ingestor(MemoryStore(2, 10), schema, None, Metrics(CollectorRegistry()))
    one.write_parquet(tmp_path / "one.parquet")
    assert [row["a"] for row in found(tmp_path / "one.parquet", alone, 3)] == [6.0, 7.0, 8.0]
    assert older[""] == "2020-01-01T05:00:00"
    with pytest.raises(ServingError, match=r"one\.parquet: no column place$"):
        found(tmp_path / "one.parquet", ingestor, 3)
    (tmp_path / "no.parquet").write_text("no table")
    with pytest.raises(ServingError, match=r"no\.parquet: cannot be read as Parquet"):
        found(tmp_path / "no.parquet", ingestor, 3)


def test_a_bad_observation_keeps_all_out(server: ServerProcess, beijing: pl.DataFrame) -> None:
    good, bad = observations(beijing.slice(100, 2))
    cases = [
        ({**bad, "temp": "warm"}, "observations[1].temp"),
        ({**bad, "temp": 900}, "declared range"),
        ({**bad, "cbwd": "up"}, "observations[1].cbwd"),
        ({k: v for k, v in bad.items() if k != "pres"}, "pres"),
        ({**bad, "timestamp": "now"}, "timestamp"),
        ({**bad, "timestamp": None}, "timestamp: null"),
        ({**bad, "colour": 1}, "colour"),
        (5, "observations[1]"),
    ]
    for row, word in cases:
        answer = server.post("/v1/models/air:ingest", {"observations": [good, row]})
        assert answer.status == 400
        assert word in answer.json["error"], answer.json
    row = {"entity": "default", "time": good["timestamp"]}
    assert server.post("/v1/models/air:predict", {"instances": [row]}).status == 409


def test_the_cutoff_hides_what_is_too_new(tmp_path: Path, start: Start, beijing: pl.DataFrame) -> None:
    model = write_model(tmp_path / "model", beijing, trees=10, cutoff="2h")
    server = start(model=model)
    part = beijing.slice(30_000, 40)
    ingest(server, part)
    when = part["timestamp"][35]
    row = {"instances": [{"entity": "default", "time": when.isoformat()}]}
    before = server.post("/v1/models/pm25_1h:predict", row)
    assert before.status == 200, before.body
    newer = part.slice(34, 6).with_columns(pl.lit(999.0).alias("pm25"))
    ingest(server, newer)  # the two hours before the prediction time, and later
    assert server.post("/v1/models/pm25_1h:predict", row).json["predictions"] == before.json["predictions"]
    ingest(server, part.slice(33, 1).with_columns(pl.lit(999.0).alias("pm25")))
    assert server.post("/v1/models/pm25_1h:predict", row).json["predictions"] != before.json["predictions"]


@needs_redis
def test_redis_down_is_a_503_and_never_a_number(start: Start, tmp_path: Path, last_month: pl.DataFrame) -> None:
    redis = Redis(tmp_path)
    try:
        server = start("--feature-store", redis.url)
        ingest(server, last_month)
        when = last_month["timestamp"][-1].isoformat()
        body = {"instances": [{"entity": "default", "time": when}]}
        first = server.post("/v1/models/air:predict", body)
        assert first.status == 200
        assert total(server, "almanac_redis_available", use="features") == 1
        redis.stop()
        down = server.post("/v1/models/air:predict", body)
        assert down.status == 503
        assert int(down.headers["retry-after"]) >= 1
        assert total(server, "almanac_redis_available", use="features") == 0
        assert server.get("/healthz").status == 200  # rows by name are still answered
        redis.start()
        wait_for(lambda: server.post("/v1/models/air:predict", body).status != 503)  # it is asked in the background
        empty = server.post("/v1/models/air:predict", body)
        assert empty.status == 409  # Redis came back without its rows
        assert total(server, "almanac_redis_available", use="features") == 1
        ingest(server, last_month)
        assert server.post("/v1/models/air:predict", body).json["predictions"] == first.json["predictions"]
    finally:
        redis.stop()


def test_ingest_from_the_command_line(
    start: Start, tmp_path: Path, last_month: pl.DataFrame, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from serving.__main__ import main

    path, store = tmp_path / "rows.parquet", f"sqlite:///{tmp_path}/store.db"
    last_month.write_parquet(path)
    assert main(["ingest", str(path), "--model", str(model_dir), "--feature-store", store]) == 0
    server = start("--feature-store", store)
    when = last_month["timestamp"][-1].isoformat()
    body = {"instances": [{"entity": "default", "time": when}]}
    stored = server.post("/v1/models/air:predict", body)
    assert stored.status == 200
    other = start()
    url = f"http://127.0.0.1:{other.port}"
    assert main(["ingest", str(path), "--url", url, "--model-name", "air", "--newest", "100"]) == 0
    told = capsys.readouterr().out
    assert f"{last_month.height - 100} older rows are left out" in told
    assert other.post("/v1/models/air:predict", body).json["predictions"] == stored.json["predictions"]
    # Twenty hours after the first row that the server has: it lacks the value of 24 hours before, which exists.
    early = {"instances": [{"entity": "default", "time": last_month["timestamp"][-80].isoformat()}]}
    assert server.post("/v1/models/air:predict", early).status == 200
    refused = other.post("/v1/models/air:predict", early)
    assert refused.status == 409, refused.body
    last_month.clear().write_parquet(path)
    capsys.readouterr()
    assert main(["ingest", str(path), "--url", url, "--model-name", "air"]) == 0
    assert capsys.readouterr().out == "0 rows ingested\n"
    for address, fault in ((f"{url}/docs/x", "404"), ("ftp://127.0.0.1", "an http or https address")):
        assert main(["canary", "status", "--url", address, "--model-name", "air"]) == 1
        assert fault in capsys.readouterr().err


def test_the_printed_curl_line_answers_and_passes_over_gaps(
    start: Start, tmp_path: Path, last_month: pl.DataFrame
) -> None:
    table = last_month.with_columns(
        pl.when(pl.int_range(pl.len()) < 717).then(pl.col(name)).alias(name) for name in (*NUMBERS, "cbwd")
    )
    table.write_parquet(tmp_path / "valid.parquet")
    server = start("--history", str(tmp_path / "valid.parquet"))
    assert server.process.stdout is not None
    line = next(line for line in iter(server.process.stdout.readline, b"") if line.startswith(b"curl ")).decode()
    assert last_month["timestamp"][716].isoformat() in line
    _, address, *_, body = shlex.split(line)
    answer = server.post(address.removeprefix(f"http://127.0.0.1:{server.port}"), json.loads(body))
    assert (answer.status, len(answer.json["predictions"])) == (200, 1), answer.body


def test_a_row_without_any_value_is_a_gap_and_one_with_some_is_not() -> None:
    columns = [{"name": name, "type": "float", "nullable": False} for name in ("a", "b")]
    schema = read_schema([{"name": "time", "type": "timestamp"}, *columns], Grid(3_600_000_000))
    store = MemoryStore(2, 10)
    ingestor = Ingestor(store, schema, None, Metrics(CollectorRegistry()))
    bundle = SimpleNamespace(use_case="any", targets={})

    def append(*rows: dict[str, Any]) -> int:
        return asyncio.run(ingestor.append(bundle, list(rows))).kept  # type: ignore[arg-type]

    whole, gap = {"time": "2020-01-01T00:00", "a": 1, "b": 2}, {"time": "2020-01-01T01:00", "a": None, "b": None}
    assert append(whole, gap) == 1
    assert asyncio.run(store.newest("default")) == schema.step_of(whole["time"], "time")
    with pytest.raises(HTTPError, match=r"observations\[1\].a: null, but a must have a value"):
        append(whole, {**gap, "b": 3})
    with pytest.raises(HTTPError, match="b"):
        append({"time": "2020-01-01T01:00", "a": None})


@pytest.mark.parametrize("width", [1, 8, 15, 16, 300])
def test_stored_rows_are_messagepack(width: int) -> None:
    rows = np.random.default_rng(width).normal(size=(4, width))
    rows[2, 0] = np.nan
    packed, size = pack_rows(rows), row_size(width)
    for at, row in enumerate(rows):
        np.testing.assert_array_equal(msgpack.unpackb(packed[at * size : (at + 1) * size]), row)
    absent = packed[:size] + bytes(size) + packed[2 * size :]
    expected = np.vstack([rows[:1], np.full((1, width), np.nan), rows[2:]]).T
    np.testing.assert_array_equal(unpack_rows(absent, 4, width), expected)


@pytest.mark.parametrize("at", [0, 1, 10])
def test_stored_rows_of_another_form_are_not_numbers(at: int) -> None:
    packed = bytearray(pack_rows(np.ones((3, 4))))
    packed[at] = 0xC0
    with pytest.raises(ValueError, match="not an array of 4 numbers"):
        unpack_rows(bytes(packed), 3, 4)
    with pytest.raises(ValueError, match="not 4 rows of 4 numbers"):
        unpack_rows(bytes(packed), 4, 4)
