"""What a server predicted is what the monitoring pipeline reads, and joins with the truth."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest

from almanac.core.errors import TableError
from almanac.usecase import load_text
from monitoring.windows.join import EmptyLogError, read_log, with_truth
from serving.runtime.line_file import DailyFile
from serving.runtime.object_log import ObjectLog
from tests.support.object_store import serving_s3, use_endpoint
from tests.support.server import USE_CASE, Start, as_row, wait_for
from tests.system.serving.test_store import ingest, last_month

__all__ = ["last_month"]

AIR = load_text(USE_CASE.replace("CUTOFF", "0h"), "air.yaml")


def test_served_predictions_are_joined_with_the_truth(
    start: Start, tmp_path: Path, beijing: pl.DataFrame, last_month: pl.DataFrame
) -> None:
    server = start("--prediction-log", str(tmp_path))
    ingest(server, last_month)
    times = [moment.isoformat() for moment in last_month["timestamp"].to_list()[-40:-8]]
    moments = [{"entity": "default", "time": time} for time in times]
    alone = [server.post("/v1/models/pm25_1h:predict", {"instances": [moment]}).json for moment in moments]
    together = server.post("/v1/models/air:predict", {"instances": moments}).json["predictions"]
    server.stop()

    logged = read_log(AIR, str(tmp_path))
    assert logged.height == 2 * len(times)
    for name, found in logged.group_by("target"):
        answers = [row[str(name[0])] for row in together]
        assert found.sort("timestamp")["prediction"].to_list() == [row["prediction"] for row in answers]
        assert found.sort("timestamp")["lower"].to_list() == [row["lower"] for row in answers]
    assert [answer["predictions"][0] for answer in alone] == [row["pm25_1h"]["prediction"] for row in together]

    joined = with_truth(AIR, beijing, logged).filter(pl.col("target") == "pm25_6h")
    truth = beijing.select(due="timestamp", truth=pl.col("pm25").cast(pl.Float64))
    assert joined.join(truth, on="due", how="left").select((pl.col("y") == pl.col("truth")).all()).item()


def test_what_a_client_asks_of_its_own_history_is_no_forecast(
    start: Start, tmp_path: Path, last_month: pl.DataFrame
) -> None:
    server = start("--prediction-log", str(tmp_path))
    ingest(server, last_month)
    time = last_month["timestamp"][-1].isoformat()
    whatif = {name: last_month[name].to_list()[-25:] for name in AIR.columns}
    whatif["pm25"] = [900.0] * 25
    asked = [{"time": time, "history": whatif}, {"entity": "default", "time": time}, {"time": time, "history": whatif}]
    answers = [server.post("/v1/models/pm25_1h:predict", {"instances": [one]}).json["predictions"][0] for one in asked]
    assert answers[0] != answers[1]
    server.stop()
    (path,) = tmp_path.glob("air/*.jsonl")
    assert [json.loads(line)["own_history"] for line in path.read_text().splitlines()] == [True, False, True]
    assert read_log(AIR, str(tmp_path))["prediction"].to_list() == [answers[1]]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    with pytest.raises(EmptyLogError):
        read_log(AIR, str(tmp_path))


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with serving_s3() as url:
        yield url


@pytest.fixture
def bucket(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    use_endpoint(monkeypatch, moto)
    name = "".join(letter for letter in tmp_path.name.lower() if letter.isalnum())[-40:]
    fsspec.filesystem("s3").makedirs(name)
    return f"s3://{name}/log"


def test_what_pods_served_is_in_the_object_store_once_they_ended(
    start: Start, bucket: str, monkeypatch: pytest.MonkeyPatch, last_month: pl.DataFrame
) -> None:
    """As the manifests set it: by the environment, each process putting files of its own."""
    monkeypatch.setenv("ALMANAC_PREDICTION_LOG", bucket)
    with pytest.raises(EmptyLogError, match="no logged predictions"):
        read_log(AIR, bucket)
    times = [moment.isoformat() for moment in last_month["timestamp"].to_list()[-6:]]
    answers = []
    for part in (times[:3], times[3:]):
        server = start()
        ingest(server, last_month)
        moments = [{"entity": "default", "time": time} for time in part]
        answers += server.post("/v1/models/pm25_1h:predict", {"instances": moments}).json["predictions"]
        server.stop()
    logged = read_log(AIR, bucket)
    assert logged["prediction"].to_list() == answers
    assert [moment.isoformat() for moment in logged["timestamp"].to_list()] == times
    assert len(fsspec.filesystem("s3").ls(f"{bucket}/air", refresh=True)) == 2
    assert read_log(AIR, bucket, datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=5)).height == len(times)
    with pytest.raises(EmptyLogError):
        read_log(AIR, bucket, datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=5))


class Unsteady:
    """A file system that is out of reach until it is told otherwise."""

    def __init__(self, reachable: bool) -> None:
        self.inner, self.reachable = fsspec.filesystem("memory"), reachable
        self.asked = threading.Event()

    def __getattr__(self, name: str) -> Any:
        if not self.reachable:
            self.asked.set()
            raise ConnectionError("out of reach")
        return getattr(self.inner, name)


def kept(directory: str) -> list[str]:
    memory = fsspec.filesystem("memory")
    names = memory.glob(f"{directory}/until-*.jsonl") if memory.exists(directory) else []
    return sorted(line for name in names for line in memory.cat(name).decode().splitlines())


def test_a_segment_is_closed_by_age_and_by_size_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[int] = []
    stream = ObjectLog(fsspec.filesystem("memory"), "/aged", lost.append, seconds=0.3)
    stream.write(b"a\n")
    stream.flush()
    assert kept("/aged") == []
    time.sleep(0.35)
    stream.flush()
    wait_for(lambda: kept("/aged") == ["a"])
    monkeypatch.setattr("serving.runtime.object_log._LARGEST", 10)
    stream.write(b"0123456789\n")
    stream.flush()
    wait_for(lambda: len(kept("/aged")) == 2)
    stream.write(b"z\n")
    stream.close()
    assert kept("/aged") == ["0123456789", "a", "z"]
    assert lost == []


def test_a_store_out_of_reach_is_tried_again_and_what_is_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.runtime.object_log._PAUSE", 0.05)
    monkeypatch.setattr("serving.runtime.object_log._LAST", 0.5)
    lost: list[int] = []
    store = Unsteady(reachable=False)
    stream = ObjectLog(store, "/unsteady", lost.append, seconds=0.0)
    for number in range(8):
        stream.write(b"%d\n" % number)
        stream.flush()
    assert lost == [1, 1]
    assert store.asked.wait(5)
    store.reachable = True
    wait_for(lambda: kept("/unsteady") == list("234567"))
    store.reachable = False
    stream.write(b"8\n9\n")
    stream.close()
    assert lost == [1, 1, 2]


def test_a_torn_line_waits_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "air" / "served-x.jsonl"
    path.parent.mkdir()
    line = '{"timestamp":"2014-01-01T00:00:00","target":"pm25_1h","prediction":1.5,"lower":1,"upper":2,"version":null}'
    path.write_text(f"{line}\n{line[:40]}")
    assert read_log(AIR, str(tmp_path))["prediction"].to_list() == [1.5]
    path.write_text(line[:40])
    with pytest.raises(TableError, match="no logged predictions yet"):
        read_log(AIR, str(tmp_path))
    path.write_text(f"{line}\nnot json\n")
    with pytest.raises(TableError, match=r"served-x\.jsonl: not lines of predictions"):
        read_log(AIR, str(tmp_path))


def test_a_log_of_files_begins_another_each_day_and_old_ones_are_skipped(tmp_path: Path) -> None:
    at = datetime(2014, 1, 1, 23, 59, 59, tzinfo=UTC)
    file = DailyFile(tmp_path / "air", lambda: at.timestamp())
    line = '{{"timestamp":"{}","target":"pm25_1h","prediction":{},"lower":1,"upper":2,"version":null}}\n'
    file.write(line.format("2014-01-01T23:00:00", 1.5).encode())
    at = datetime(2014, 1, 2, tzinfo=UTC)
    file.write(line.format("2014-01-02T00:00:00", 2.5).encode())
    # A clock that is set back leaves a name that bounds its lines all the same.
    at = datetime(2014, 1, 1, 12, tzinfo=UTC)
    file.write(line.format("2014-01-01T12:00:00", 3.5).encode())
    file.close()
    assert [path.name[:21] for path in sorted((tmp_path / "air").iterdir())] == [
        "until-20140102T000000", "until-20140103T000000"
    ]  # fmt: skip
    for since, predictions in ((datetime(2014, 1, 2), [3.5, 1.5, 2.5]), (datetime(2014, 1, 2, 0, 0, 1), [3.5, 2.5])):
        assert read_log(AIR, str(tmp_path), since)["prediction"].to_list() == predictions


def test_a_day_whose_file_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    at = datetime(2014, 1, 1, tzinfo=UTC)
    file = DailyFile(tmp_path / "log", lambda: at.timestamp())
    at = datetime(2014, 1, 2, tzinfo=UTC)
    (tmp_path / "log").rename(tmp_path / "moved")
    (tmp_path / "log").touch()
    for _ in range(2):
        with pytest.raises(FileExistsError):
            file.write(b"a\n")
    (tmp_path / "log").unlink()
    file.write(b"b\n")
    file.close()
    assert [path.read_text() for path in (tmp_path / "log").iterdir()] == ["b\n"]
    assert [path.read_text() for path in (tmp_path / "moved").iterdir()] == [""]


def test_rows_by_name_have_no_moment_and_are_not_logged(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    server = start("--prediction-log", str(tmp_path))
    assert server.post("/v1/models/pm25_1h:predict", {"instances": [as_row(feature_rows[0])]}).status == 200
    server.stop()
    with pytest.raises(TableError, match="no logged predictions yet"):
        read_log(AIR, str(tmp_path))


def test_a_log_that_cannot_be_written_is_said_at_the_start(model_dir: Path, tmp_path: Path) -> None:
    from serving.__main__ import main

    (tmp_path / "file").write_text("")
    assert main(["--model", str(model_dir), "--http-port", "0", "--prediction-log", str(tmp_path / "file")]) == 1
    assert main(["--model", str(model_dir), "--http-port", "0", "--prediction-log", "nowhere://log"]) == 1
