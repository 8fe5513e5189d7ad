"""A writer of lines outlives a full disk, a rotation and a line that is no text, and counts what it drops."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from monitoring.metrics import Metrics
from serving.runtime.line_file import LineFile
from serving.runtime.line_writer import LineWriter, LogState
from tests.support.server import wait_for

FULL = Path("/dev/full")
Open = Callable[..., LineWriter]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def begin(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    monkeypatch.setattr("serving.runtime.line_writer._PAUSE", 0.005)
    monkeypatch.setattr("serving.runtime.line_writer._FIRST_RETRY", 0.01)
    monkeypatch.setattr("serving.runtime.line_writer._LONGEST_RETRY", 0.02)
    running: list[LineWriter] = []

    def begin(target: Any, render: Callable[[Any], bytes] = msgspec.json.encode) -> LineWriter:
        running.append(LineWriter(target, render, LogState("audit", metrics)))
        return running[-1]

    yield begin
    for writer in running:
        writer.close()


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def value(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(name, {"log": "audit"}) or 0.0


def test_lines_wait_for_a_full_disk_and_come_back(tmp_path: Path, begin: Open, metrics: Metrics) -> None:
    path = tmp_path / "audit.jsonl"
    path.symlink_to(FULL)
    writer = begin(path)
    writer.put(1)
    wait_for(lambda: writer.state.error == "No space left on device")
    assert value(metrics, "almanac_log_failing") == 1
    for number in range(2, 50):
        writer.put(number)
    path.unlink()  # the disk has room again: the path names a file that can be written
    wait_for(lambda: lines(path) == list(range(1, 50)))
    assert writer.state.error is None
    assert value(metrics, "almanac_log_failing") == 0
    assert value(metrics, "almanac_log_dropped_total") == 0


def test_what_waits_is_bounded_in_bytes_and_counted(
    tmp_path: Path, begin: Open, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.runtime.line_writer._MOST_BYTES", 40_000)
    path = tmp_path / "audit.jsonl"
    path.symlink_to(FULL)
    writer = begin(path, lambda item: item[:100])
    for number in range(2000):  # bodies of a megabyte each would be 2 GB
        writer.put(f"{number:04d}" * 250_000, 1_000_000)
        assert len(writer._items) <= 1
        wait_for(lambda: not writer._items, pause=0.001)
        if number > 500:
            break
    assert sum(map(len, writer._lines)) <= 40_000
    path.unlink()
    wait_for(lambda: writer.state.error is None and not writer._lines)
    kept = lines(path)
    assert kept == [f"{number:04d}" * 25 for number in range(502 - len(kept), 502)]  # the newest ones
    assert value(metrics, "almanac_log_dropped_total") == 502 - len(kept) > 50


def test_a_line_that_cannot_be_rendered_is_lost_alone(tmp_path: Path, begin: Open, metrics: Metrics) -> None:
    path = tmp_path / "audit.jsonl"
    writer = begin(path)
    for item in ("a", "\ud800", object(), "b"):
        writer.put(item)
    wait_for(lambda: lines(path) == ["a", "b"])
    assert value(metrics, "almanac_log_dropped_total") == 2


@pytest.mark.parametrize("rotate", [Path.unlink, lambda path: path.rename(path.with_suffix(".1"))])
def test_a_rotated_file_is_opened_again_for_its_owner_alone(
    tmp_path: Path, begin: Open, rotate: Callable[[Path], object]
) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    old = os.umask(0)
    try:
        writer = begin(path)
        writer.put("before")
        wait_for(lambda: lines(path) == ["before"])
        rotate(path)
        writer.put("after")
        wait_for(lambda: lines(path) == ["after"])
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_could_not_be_written_at_the_end_is_counted(tmp_path: Path, begin: Open, metrics: Metrics) -> None:
    path = tmp_path / "audit.jsonl"
    path.symlink_to(FULL)
    writer = begin(path)
    for number in range(5):
        writer.put(number)
    writer.close()
    assert value(metrics, "almanac_log_dropped_total") == 5


def test_a_torn_write_is_taken_back(tmp_path: Path) -> None:
    """A disk that is full in the middle of a write leaves whole lines only; several processes share the file."""
    path = tmp_path / "audit.jsonl"
    code = f"""
import resource, signal
from pathlib import Path
from serving.runtime.line_file import LineFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = LineFile(Path({str(path)!r}))
file.write(b'"first"\\n')
resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
try:
    file.write(b'"second, which is too long"\\n')
except OSError as error:
    print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.write(b'"third"\\n')
"""
    other = LineFile(path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    other.write(b'"other"\n')
    other.close()
    assert done.stdout == "File too large\n"
    assert lines(path) == ["first", "third", "other"]
