"""The training pipeline by kfp's DockerRunner on the real series: the model that this machine's own Python makes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.common.files import sha256_file
from tests.containers.engine import inspect

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


def test_a_container_costs_at_most_two_seconds_a_task(container: Path, laptop: Path) -> None:
    """The steps that compute next to nothing show what is not computing."""
    steps = {step["name"]: step["seconds"] for step in read(container, "run.json")["steps"]}
    same = {step["name"]: step["seconds"] for step in read(laptop, "run.json")["steps"]}
    light = [steps[name] - same[name] for name in ("gate", "deployment")]
    assert min(light) <= 2.0, (steps, same)
