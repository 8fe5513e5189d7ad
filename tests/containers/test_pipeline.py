"""The training pipeline by kfp's DockerRunner on the real series: the model that this machine's own Python makes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from almanac.core.files import sha256_file
from benchmarks.pipeline_overhead import show_tasks, task_times
from tests.containers.engine import docker, inspect
from tests.support.server import free_port

ROOT = Path(__file__).resolve().parents[2]
TREES = (
    "[{name: trees, kind: lightgbm, predict: difference, trials: 2, "
    "fixed: {num_leaves: 8, n_estimators: 150, learning_rate: 0.08, min_child_samples: 100}, "
    "search: {colsample_bytree: {kind: float, low: 0.2, high: 0.4}}}]"
)
SETTINGS = {
    "training.candidates": TREES,
    "training.choose": "{metric: rmse}",
    "training.budget.trials": "2",
    "gates": "[{rule: beats_baselines, metric: rmse}]",
}


def run(place: Path, runner: str, image: str) -> Path:
    """Run the pipeline and return its run directory."""
    settings = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    where = ["--runner", runner, "--out", str(place / "runs"), "--registry", str(place / "registry")]
    command = [sys.executable, "pipeline.py", "run", "usecases/air_quality.yaml", "--json", *where, *settings]
    revision = inspect(image)["Config"]["Labels"]["org.opencontainers.image.revision"]
    environment = os.environ | {"ALMANAC_IMAGE": image, "ALMANAC_REVISION": revision}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place / "runs" / "air_quality" / str(json.loads(done.stdout)["run_id"])


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory, components_image: str) -> Path:
    return run(tmp_path_factory.mktemp("laptop"), "subprocess", components_image)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory, components_image: str) -> Path:
    return run(tmp_path_factory.mktemp("container"), "docker", components_image)


def read(directory: Path, name: str) -> Any:
    return json.loads((directory / name).read_text())


def test_the_run_leaves_every_artifact(container: Path, laptop: Path) -> None:
    def names(directory: Path) -> set[str]:
        return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}

    assert {name for name in names(laptop) if not name.startswith("comet/")} == {
        name for name in names(container) if not name.startswith("comet/")
    }
    assert read(container, "gate.json")["passed"] is True
    for name, entry in read(container, "run.json")["artifacts"].items():
        assert sha256_file(container / name) == entry["sha256"], name


def test_the_model_is_the_one_that_the_laptop_makes(container: Path, laptop: Path) -> None:
    assert read(container, "model/manifest.json") == read(laptop, "model/manifest.json")
    assert sha256_file(container / "model/manifest.json") == sha256_file(laptop / "model/manifest.json")
    assert sha256_file(container / "features.parquet") == sha256_file(laptop / "features.parquet")
    ours, theirs = read(container, "metrics.json"), read(laptop, "metrics.json")
    assert {name: target["rmse"] for name, target in ours["targets"].items()} == {
        name: target["rmse"] for name, target in theirs["targets"].items()
    }


def test_a_container_costs_at_most_two_seconds_a_task(container: Path) -> None:
    """Beside the component's body: the engine, the container, Python, Kubeflow's imports."""
    (log,) = (container.parent / ".work" / container.name).glob("log.txt")
    times = task_times(log.read_text())
    show_tasks(times)
    assert {"ingestion", "training", "gate", "deployment"} <= times.keys()
    assert max(wall - body for wall, body in times.values()) <= 2.0, times


def at_work(image: str, *options: str) -> str:
    """What a container prints that trains by the Dask engine, on a read-only root."""
    limits = ("--rm", "--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
    return docker("run", *limits, *options, image, "python", "-c", _AT_WORK).splitlines()[-1]


def test_the_dask_engine_starts_its_processes_in_a_container(components_image: str) -> None:
    assert at_work(components_image) == "100 trees on 2 workers"


def test_workers_of_a_scheduler_run_in_containers_of_their_own(components_image: str) -> None:
    """A scheduler and two workers from the image, and a task in another that finds them by its environment."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    common = ["--detach", "--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", components_image]
    commands = [["scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0"]]
    commands += [["worker", address, "--nthreads", "1", "--memory-limit", "0", "--host", "127.0.0.1"]] * 2
    names = [docker("run", *common, "dask", *command) for command in commands]
    try:
        found = at_work(components_image, "--env", f"DASK_SCHEDULER_ADDRESS={address}")
        assert found == "100 trees on 2 workers"
        assert all("Traceback" not in docker("logs", name) for name in names)
    finally:
        docker("rm", "--force", *names)


_AT_WORK = """
import os
import numpy as np
from almanac.core import dask_workers as workers
from almanac.training.dask_backend import DaskGrower
from almanac.usecase.training_section import Dask

with workers.start(Dask()) as found:
    X = np.random.default_rng(0).normal(size=(5000, 3))
    trees = DaskGrower(found, ["a", "b", "c"], X, 7)
    (booster,) = trees(np.arange(5000), X[:, 0], {"objective": "regression", "verbose": -1}, 100, [7])
    print(booster.num_trees(), "trees on", len(set(found.client.run(os.getpid, workers=found.addresses))), "workers")
"""
