"""Tracking: the record, the offline archive, and an upload that may fail without harm."""

import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from almanac.core.files import read_json
from almanac.training.tracking import archive_in_background, finish, make_record

ROOT = Path(__file__).resolve().parents[3]


def tuning() -> dict[str, Any]:
    found = {
        "chosen": "trees",
        "weights": {"trees": 1.0},
        "metric": "rmse",
        "loss": 2.5,
        "baselines": {"persistence": {"loss": 3.0, "folds": [3.0, 3.0]}},
        "candidates": {"trees": {"loss": 2.5, "folds": [2.0, 3.0], "weights": {"trees": 1.0}}},
        "parameters": {"trees": {"num_leaves": 8}},
        "trials": {"trees": {"stopped_by": "trials", "trials": []}},
    }
    return {
        "use_case": "load_forecast",
        "seed": 7,
        "budget": {"trials": 2, "seconds": 60.0},
        "targets": {"load_1h": found},
    }


def command(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COMET")}
    return subprocess.run(
        [sys.executable, "pipeline.py", *arguments],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with its archive."""
    directory = tmp_path_factory.mktemp("run")
    problem = finish(archive_in_background(make_record(tuning(), "0" * 64), directory / "comet"))
    assert problem is None
    return directory


def test_the_same_training_gives_the_same_record_and_key() -> None:
    record = make_record(tuning(), "0" * 64)
    assert record == make_record(tuning(), "0" * 64)
    assert record["key"] != make_record(tuning(), "1" * 64)["key"]
    assert record["parameters"]["load_1h/trees/num_leaves"] == 8
    assert record["metrics"]["load_1h/baselines/persistence/rmse"] == 3.0


def test_the_archive_holds_the_record(run: Path) -> None:
    (archive,) = (run / "comet").glob("*.zip")
    record = read_json(run / "comet" / "record.json")
    assert archive.stem == record["key"]
    with zipfile.ZipFile(archive) as files:
        experiment = json.loads(files.read("experiment.json"))
        messages = files.read("messages.json").decode()
    assert experiment["project_name"] == "load-forecast"
    assert "load_1h/folds/rmse" in messages
    assert "load_1h/trees/num_leaves" in messages


def test_an_upload_that_cannot_be_leaves_the_archive_and_says_why(run: Path) -> None:
    (archive,) = (run / "comet").glob("*.zip")
    before = archive.read_bytes()
    missing = command("upload", str(run))
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: COMET_API_KEY is not set")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        down = command(
            "upload", str(run), COMET_API_KEY="k" * 25, COMET_URL_OVERRIDE=f"http://127.0.0.1:{port}/clientlib/"
        )
    assert down.returncode == 1
    assert "Comet's server 127.0.0.1 cannot be reached" in down.stderr
    assert "k" * 25 not in down.stderr + down.stdout
    assert archive.read_bytes() == before


def test_a_directory_without_an_archive_is_named(tmp_path: Path) -> None:
    result = command("upload", str(tmp_path))
    assert result.returncode == 1
    assert "no Comet archive in it" in result.stderr


def test_a_failing_archive_is_told_and_raises_nothing(tmp_path: Path) -> None:
    record = make_record(tuning(), "0" * 64)
    problem = finish(archive_in_background({**record, "key": "short"}, tmp_path))
    assert problem is not None
    assert problem.startswith("the Comet archive was not written: ")
    assert (tmp_path / "record.json").exists()
