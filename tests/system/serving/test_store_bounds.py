"""What a store no longer has is no number, and what it takes is bounded: the same in memory, in SQLite and in Redis."""

import asyncio
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.files import read_json, write_json
from serving.features.store.base import RowsDroppedError, Store, StoreUnavailableError
from serving.features.store.memory import MemoryStore
from serving.features.store.open import StoreLimits, open_store
from serving.features.store.rows import pack_rows
from serving.runtime.errors import HTTPError
from tests.support.server import ServerProcess, Start, altered, as_row, simple_features
from tests.system.serving.test_store import (
    Redis,
    append,
    fill,
    ingest,
    last_month,
    needs_redis,
    observations,
    redis,
    url,
    with_store,
)

__all__ = ["last_month", "redis", "url"]

PREDICT = "/v1/models/pm25_1h:predict"


def ones(steps: list[int]) -> np.ndarray:
    return np.ones((len(steps), 3))


def test_rows_that_exist_elsewhere_are_not_rows_that_were_never_observed(url: str) -> None:
    async def work(store: Store) -> None:
        await store.forget("a", 1000)
        await append(store, "a", [1003, 1004], ones([0, 0]))
        assert np.isnan((await store.window("a", 1004, 5))[:, :3]).all()  # 1000 to 1002 were never observed
        for call in (store.window("a", 1004, 6), store.windows([("b", 5, 2), ("a", 1004, 6), ("a", 1004, 1)])):
            with pytest.raises(RowsDroppedError) as dropped:
                await call
            assert (dropped.value.entity, dropped.value.kept_from) == ("a", 1000)
        await store.forget("a", 900)  # older than what is known to be missing
        with pytest.raises(RowsDroppedError):
            await store.window("a", 1004, 6)
        assert await store.newest("a") == 1004
        await store.forget("c", 7)
        assert [await store.newest(one) for one in ("c", None)] == [None, 1004]

    with_store(url, work, namespace=f"d{time.time_ns()}")


def test_a_store_without_a_bound_takes_missing_rows_after_all(url: str) -> None:
    async def work(store: Store) -> tuple[int, bool]:
        await append(store, "a", [1004], ones([0]))
        await store.forget("a", 1000)
        dropped = await fill(store, "a", [990], ones([0]))
        with pytest.raises(RowsDroppedError):
            await store.window("a", 1004, 20)
        dropped += await fill(store, "a", [998, 999], ones([0, 0]))
        try:
            window = await store.window("a", 1004, 20)
        except RowsDroppedError:
            return dropped, False
        return dropped, bool((~np.isnan(window[0])).sum() == 4)

    # The store in memory has no place for rows older than those that it keeps, and says so.
    expected = (3, False) if url == "memory://" else (0, True)
    assert with_store(url, work, namespace=f"e{time.time_ns()}") == expected


def test_a_request_is_kept_whole_or_not_at_all(url: str) -> None:
    async def work(store: Store) -> None:
        await append(store, "a", [1], ones([0]))
        with pytest.raises(HTTPError, match=r"holds 1 entities; 3 more are above its bound of 3 \(--store-entities\)"):
            await store.append({name: ([5], ones([0])) for name in "abcd"})
        assert [await store.newest(name) for name in ("a", "b", None)] == [1, None, 1]
        assert np.isnan(await store.window("a", 5, 2)).all()
        await store.append({name: ([5], ones([0])) for name in "abc"})
        assert [await store.newest(name) for name in "abcd"] == [5, 5, 5, None]

    async def run() -> None:
        store = open_store(url, f"b{time.time_ns()}", 3, 100, StoreLimits(entities=3))
        try:
            await work(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_memory_is_taken_as_it_is_used_and_bounded() -> None:
    rows, steps = np.ones((1024, 8)), list(range(1024))

    async def work() -> None:
        small = MemoryStore(8, 1024, most_bytes=2_000_000)
        for number in range(300):  # a row each, where a ring of the capacity would take 131 kB
            await append(small, f"entity {number}", [5], rows[:1])
        full = MemoryStore(8, 1024, most_bytes=200_000)
        await append(full, "a", steps, rows)
        with pytest.raises(HTTPError, match=r"above its bound of 200000 \(--store-bytes\)") as refused:
            await full.append(dict.fromkeys("bcd", (steps, rows)))
        assert refused.value.status == 413
        assert [await full.newest(name) for name in "ab"] == [1023, None]
        for first in range(1024, 20_000, 100):  # old rows make room for new ones
            await append(full, "a", list(range(first, first + 100)), rows[:100])

    asyncio.run(work())


def test_the_newest_rows_are_kept_by_number_and_one_far_ahead_drops_none() -> None:
    async def work() -> None:
        store = MemoryStore(3, 1024)
        values = np.arange(3000.0).reshape(1000, 3)
        assert await append(store, "a", list(range(1000)), values) == 0
        assert await append(store, "a", [5_000_000], ones([0])) == 0
        np.testing.assert_array_equal(await store.window("a", 999, 1000), values.T)
        for first in range(1000, 4000, 50):
            await append(store, "a", list(range(first, first + 50)), np.full((50, 3), float(first)))
        with pytest.raises(RowsDroppedError) as dropped:
            await store.window("a", 999, 1000)
        kept = dropped.value.kept_from
        assert 4000 - 1024 - 64 <= kept <= 4000 - 1023
        assert not np.isnan(await store.window("a", 3999, 4000 - kept)).any()
        assert await append(store, "a", [kept - 1, kept], ones([0, 0])) == 1

    asyncio.run(work())


def test_a_wide_gap_and_a_window_over_it_equal_a_plain_table() -> None:
    rng = np.random.default_rng(5)
    store, table = MemoryStore(2, 5000), np.full((2, 4000), np.nan)

    async def work() -> None:
        for _ in range(60):
            steps = rng.integers(0, 4000, 20).tolist()
            rows = rng.normal(size=(20, 2))
            over = bool(rng.integers(2))
            await (append if over else fill)(store, "a", steps, rows)
            for step, row in zip(steps, rows, strict=True):
                if over or np.isnan(table[0, step]):
                    table[:, step] = row
        for _ in range(200):
            end, count = int(rng.integers(0, 4000)), int(rng.integers(1, 300))
            padded = np.concatenate([np.full((2, 300), np.nan), table], axis=1)
            np.testing.assert_array_equal(await store.window("a", end, count), padded[:, end + 301 - count : end + 301])

    asyncio.run(work())


@needs_redis
def test_a_block_that_expired_is_no_gap(redis: Redis) -> None:
    async def work(store: Any) -> None:
        await append(store, "a", [200, 300], ones([0, 0]))
        await store._client.delete(store._block("a", 0))  # as Redis does at the end of its life
        assert not np.isnan(await store.window("a", 300, 1)).any()
        with pytest.raises(RowsDroppedError) as dropped:
            await store.window("a", 300, 80)
        assert dropped.value.kept_from == 256
        await store._client.delete(store._block("a", 1), *store._keys("a"))
        assert [await store.newest(one) for one in ("a", None)] == [None, None]
        await append(store, "b", [50], ones([0]))
        assert await store.newest(None) == 50

    with_store(redis.url, work, namespace=f"x{time.time_ns()}")


def test_a_damaged_row_is_an_unavailable_store_and_no_number(tmp_path: Path) -> None:
    async def write(store: Store) -> None:
        await append(store, "a", [5], ones([0]))

    async def read(store: Store) -> None:
        await store.window("a", 5, 2)

    url = f"sqlite:///{tmp_path}/s.db"
    with_store(url, write)
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("UPDATE observation SET row = ?", (b"torn",))
    connection.close()
    with pytest.raises(StoreUnavailableError, match="rows of a cannot be read"):
        with_store(url, read)


def test_a_file_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as old:
        old.execute(
            "CREATE TABLE observation (namespace TEXT NOT NULL, entity TEXT NOT NULL, step INTEGER NOT NULL, "
            "row BLOB NOT NULL, PRIMARY KEY (namespace, entity, step)) WITHOUT ROWID"
        )
        old.executemany(
            "INSERT INTO observation VALUES ('2:n', 'a', ?, ?)", [(s, pack_rows(ones([0]))) for s in (3, 9)]
        )
    old.close()

    async def read(store: Store) -> tuple[int | None, float]:
        return await store.newest("a"), float(np.nansum(await store.window("a", 9, 7)))

    assert with_store(f"sqlite:///{tmp_path}/s.db", read) == (9, 6.0)


def ask(server: ServerProcess, when: datetime, entity: str = "default") -> tuple[int, Any]:
    answer = server.post(PREDICT, {"instances": [{"entity": entity, "time": when.isoformat()}]})
    return answer.status, answer.json["error"] if answer.status != 200 else answer.json["predictions"][0]


def test_a_time_that_looks_back_beyond_the_history_is_refused(
    start: Start, url: str, tmp_path: Path, beijing: pl.DataFrame
) -> None:
    """The history at the start is the newest part of a table: an earlier time has no number, and not another one."""
    table = beijing.tail(2000)
    table.write_parquet(tmp_path / "rows.parquet")
    server = start("--history", str(tmp_path / "rows.parquet"), "--feature-store", url)
    times, X = beijing["timestamp"].to_list(), simple_features(beijing)
    first = -(25 + 720) + 24  # the model looks back on 25 rows
    for at in (-1, -300, first):
        named = server.post(PREDICT, {"instances": [as_row(X[at])]}).json["predictions"][0]
        assert ask(server, times[at]) == (200, named)
    for at in (first - 1, first - 100):
        status, message = ask(server, times[at])
        assert status == 409
        assert f"observations before {times[first - 24].isoformat()} are no longer kept" in message
        assert f"the first time that can be asked for is {times[first].isoformat()}" in message
    status, message = ask(server, times[-1], "nowhere")
    assert (status, "one series, which is called 'default'" in message) == (409, True)
    together = [{"entity": "default", "time": times[at].isoformat()} for at in (-1, first - 1)]
    assert server.post("/v1/models/air:predict", {"instances": together}).status == 409


def test_rows_that_the_command_line_leaves_out_are_known_to_be_missing(
    start: Start, tmp_path: Path, model_dir: Path, beijing: pl.DataFrame
) -> None:
    from serving.__main__ import main

    path, store = tmp_path / "rows.parquet", f"sqlite:///{tmp_path}/store.db"
    beijing.tail(200).write_parquet(path)
    times = beijing["timestamp"].to_list()
    command = ["ingest", str(path), "--model", str(model_dir), "--feature-store", store]
    assert main([*command, "--newest", "100"]) == 0
    server = start("--feature-store", store)
    assert [ask(server, times[at])[0] for at in (-1, -76, -77)] == [200, 200, 409]
    assert main(command) == 0  # the rows that were missing are there after all
    assert [ask(server, times[at])[0] for at in (-1, -76, -77, -176)] == [200] * 4


def resident(server: ServerProcess) -> int:
    line = next(x for x in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def test_invented_entities_take_no_memory(start: Start, last_month: pl.DataFrame) -> None:
    server = start()
    ingest(server, last_month)
    before = resident(server)
    (row,) = observations(last_month[-1:])
    body = {"observations": [{**row, "entity": f"invented {number}"} for number in range(3000)]}
    for _ in range(2):
        answer = server.post("/v1/models/air:ingest", body)
        assert answer.status == 400
        assert "observations[0].entity: 'invented 0'; the use case has no entity column" in answer.json["error"]
    assert resident(server) - before < 30


def in_archive(directory: Path) -> None:
    signature = read_json(directory / "signature.json")
    write_json(directory / "signature.json", signature | {"as_of": "2015-01-01"})


def test_the_present_is_that_of_the_use_case(
    start: Start, tmp_path: Path, model_dir: Path, last_month: pl.DataFrame
) -> None:
    server = start(model=altered(model_dir, tmp_path / "archive", in_archive))
    ingest(server, last_month)
    expected = ask(server, last_month["timestamp"][-1])
    (row,) = observations(last_month[-1:])

    def post(when: str) -> tuple[int, Any]:
        answer = server.post("/v1/models/air:ingest", {"observations": [{**row, "timestamp": when}]})
        return answer.status, answer.json

    status, document = post("2015-01-02T01:00:00")
    assert status == 400
    assert "can have been observed by 2015-01-01, the present of the use case (as_of)" in document["error"]
    assert post("2015-01-02T00:00:00") == (200, {"ingested": 1})
    assert ask(server, last_month["timestamp"][-1]) == expected


def test_a_use_case_of_today_has_the_clock_as_its_present(start: Start, last_month: pl.DataFrame) -> None:
    server = start()
    ingest(server, last_month)
    expected = ask(server, last_month["timestamp"][-1])
    soon = (datetime.now() + timedelta(hours=20)).replace(minute=0, second=0, microsecond=0)
    (row,) = observations(last_month[-1:])
    answer = server.post("/v1/models/air:ingest", {"observations": [{**row, "timestamp": soon.isoformat()}]})
    assert answer.status == 200
    assert ask(server, last_month["timestamp"][-1]) == expected  # one row far ahead throws nothing away
