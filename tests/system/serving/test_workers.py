"""Several workers: one that ends, a model that is gone, and a version that one of them was told to load."""

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.server import ServerProcess, Start, as_row, wait_for, write_model
from tests.system.serving.test_operation import PREDICT, workers


def versions(server: ServerProcess, times: int = 12) -> set[str]:
    """Return the versions that workers answer with; each request is a connection of its own."""
    return {server.get("/healthz").json["model_version"] for _ in range(times)}


def wait_until_all_serve(server: ServerProcess, count: int) -> set[int]:
    """Wait until so many workers have said that they serve, and return them."""
    assert server.process.stdout is not None
    for _ in range(count):
        assert server.process.stdout.readline().startswith(b"air version")
    return workers(server)


@pytest.fixture(scope="module")
def second_model(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    return write_model(tmp_path_factory.mktemp("second") / "model", beijing, trees=5)


def test_a_worker_that_cannot_be_replaced_leaves_the_others_serving(
    start: Start, tmp_path: Path, model_dir: Path, feature_rows: np.ndarray
) -> None:
    place = tmp_path / "model"
    shutil.copytree(model_dir, place)
    server = start("--workers", "2", "--feature-store", f"sqlite:///{tmp_path}/s.db", model=place)
    body = {"instances": [as_row(feature_rows[0])]}
    expected = server.post(PREDICT, body).json
    victim, survivor = sorted(wait_until_all_serve(server, 2))
    place.rename(tmp_path / "away")
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: workers(server) == {survivor})
    end = time.monotonic() + 4.0  # long enough for several attempts
    while time.monotonic() < end:
        assert server.post(PREDICT, body).json == expected
        time.sleep(0.05)
    assert server.process.poll() is None
    assert survivor in workers(server)
    (tmp_path / "away").rename(place)
    wait_for(lambda: len(workers(server) - {survivor}) == 1)
    wait_until_all_serve(server, 1)
    server.process.terminate()
    assert server.process.wait(30) == 0
    assert "a worker did not become ready" in server.stop()


def test_a_worker_that_hangs_is_ended_when_it_is_replaced(start: Start, tmp_path: Path) -> None:
    server = start(
        "--workers",
        "2",
        "--feature-store",
        f"sqlite:///{tmp_path}/s.db",
        "--drain-seconds",
        "0",
        "--grace-seconds",
        "0",
    )
    before = wait_until_all_serve(server, 2)
    os.kill(min(before), signal.SIGSTOP)  # it takes no SIGTERM now
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: not before & workers(server) and len(workers(server)) == 2)
    assert server.process.poll() is None
    assert server.get("/healthz").status == 200


def test_all_workers_take_the_version_that_one_was_told_to_load(
    start: Start, tmp_path: Path, model_dir: Path, second_model: Path
) -> None:
    place = tmp_path / "model"
    shutil.copytree(model_dir, place)
    server = start("--workers", "3", "--feature-store", f"sqlite:///{tmp_path}/s.db", model=place)
    wait_until_all_serve(server, 3)
    (old,) = versions(server)
    assert server.post("/v2/repository/models/pm25_6h/unload", b"").status == 200
    place.rename(tmp_path / "old")
    shutil.copytree(second_model, place)
    assert server.post("/v2/repository/models/pm25_1h/load", b"").status == 200
    wait_for(lambda: len(found := versions(server)) == 1 and found != {old})
    os.kill(min(workers(server)), signal.SIGKILL)
    wait_for(lambda: len(workers(server)) == 3)
    wait_for(lambda: all(server.get("/v2/models/pm25_6h/ready").status == 503 for _ in range(12)))
    shutil.rmtree(place)
    (tmp_path / "old").rename(place)
    os.kill(min(workers(server)), signal.SIGKILL)  # the one in its place loads what stands there
    wait_for(lambda: len(workers(server)) == 3 and versions(server) == {old})
