"""Benchmarks run to their end at a small size: what they call is what the code has, and both sides agree."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmarks") / "model.bst"
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 12))
    data = lightgbm.Dataset(X, X[:, 0] * X[:, 1] + rng.normal(size=2000))
    lightgbm.train({"num_leaves": 15, "verbose": -1, "num_threads": 1}, data, 20).save_model(path)
    return path


def measured(*command: str) -> dict[str, Any]:
    program = [sys.executable, "-m", *command]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_features(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.features",
        "--rows",
        "12000",
        "--repeats",
        "2",
        "--json",
        str(tmp_path / "figures.json"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "figures.json").read_text())


@pytest.mark.parametrize("name", ["predict", "explain"])
def test_trees(model: Path, name: str) -> None:
    assert (
        measured(f"benchmarks.{name}", "--rounds", "1", "--json", "--model", str(model))["facts"]["kind"] == "compiled"
    )


def test_the_policy() -> None:
    found = measured("benchmarks.policy_backtest", "--start", "2014-11-20", "--targets", "pm25_1h", "--json")
    assert found["use_case"] == "air_quality"
