"""A candidate and a body from outside of Almanac: trained, registered, verified and served."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from almanac.core.files import read_json
from tests.support import extension, panel
from tests.support.candidate_package import CANDIDATE, CODE, ENTRY_POINTS
from tests.support.server import Start

ROOT = Path(__file__).resolve().parents[3]


def test_a_candidate_from_outside_is_trained_registered_verified_and_served(tmp_path: Path, start: Start) -> None:
    packages = tmp_path / "packages"
    extension.install(packages, "yesterday", CODE, ENTRY_POINTS)
    environment = extension.environment(packages)
    path = panel.write_project(tmp_path, CANDIDATE, test_from=date(2020, 5, 1), gates=[_LOOSE])

    def almanac(*arguments: str | Path) -> str:
        command = [sys.executable, "pipeline.py", *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    almanac("run", path, "--out", tmp_path / "runs", "--registry", tmp_path / "registry")
    latest = tmp_path / "runs" / "meters" / "latest"
    manifest = read_json(latest / "model" / "load_6h" / "manifest.json")
    assert manifest["kind"] == "day_before"
    assert "day_before.json" in manifest["files"]
    assert "meters/1" in almanac("registry", "list", "--registry", tmp_path / "registry")
    assert json.loads(almanac("verify", latest, "--json"))["not_checked"] == []

    server = start("--history", str(latest / "data.parquet"), model=latest / "model", environment=environment)
    table = pl.read_parquet(latest / "data.parquet").filter(pl.col("meter") == "west").drop_nulls("load")
    newest = table["timestamp"][-1]
    answer = server.post("/v1/models/load_6h:predict", {"instances": [{"entity": "west", "time": newest.isoformat()}]})
    assert answer.status == 200, answer.body
    expected = table.filter(pl.col("timestamp") == newest - pl.duration(hours=18))["load"]
    assert answer.json["predictions"] == pytest.approx(expected.to_list(), rel=1e-9)

    without = subprocess.run(
        [sys.executable, "pipeline.py", "serve", "--model", str(latest / "model")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert without.returncode != 0
    assert "there is no model body 'day_before'" in without.stdout + without.stderr


_LOOSE = {"rule": "max_error", "target": "load_6h", "metric": "rmse", "value": 100.0}
