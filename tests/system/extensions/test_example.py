"""The example extension, one kind of each family, from the use case file to a served and verified version."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tests.support import extension
from tests.support.server import ServerProcess

ROOT = Path(__file__).resolve().parents[3]
#: Beijing heats from the middle of November to the middle of March.
HEATING = "\n".join(
    [
        "timestamp,heating",
        "2009-11-15T00:00,1",
        *(f"{year}-{day}T00:00,{on}" for year in range(2010, 2015) for day, on in (("03-15", 0), ("11-15", 1))),
    ]
)


REQUEST = {"instances": [{"entity": "default", "time": "2014-12-31T12:00:00"}]}


@dataclass(frozen=True)
class World:
    """A directory with the installed example, and a use case that asks for all that it brings."""

    base: Path

    @property
    def latest(self) -> Path:
        return self.base / "runs" / "air_quality" / "latest"

    def almanac(self, *arguments: str, installed: bool = True) -> subprocess.CompletedProcess[str]:
        packages = self.base / ("packages" if installed else "nothing")
        command = [sys.executable, str(ROOT / "pipeline.py"), *arguments]
        environment = extension.environment(packages)
        return subprocess.run(command, cwd=self.base, env=environment, capture_output=True, text=True, check=False)


def usecase() -> dict[str, Any]:
    """Return the reference use case with kinds of the example in the place of its own."""
    case: dict[str, Any] = yaml.safe_load((ROOT / "usecases" / "air_quality.yaml").read_text())
    case["sources"].append(
        {"name": "heating", "type": "inline", "title": "Heating season", "licence": "CC0", "text": HEATING}
        | {"read": {"time": {"column": "timestamp"}}, "join": {"tolerance": "250d"}}
    )
    case["columns"]["heating"] = {"type": "float", "min": 0, "max": 1, "description": "Whether the city is heated"}
    case["features"]["items"] = [
        {"kind": "value", "group": "lagged", "columns": ["pm25", "heating"]},
        {"kind": "momentum", "group": "lagged", "columns": ["pm25"], "windows": ["3h", "12h"]},
        {
            "kind": "rolling",
            "group": "rolling",
            "columns": ["pm25"],
            "windows": ["24h", "168h"],
            "statistics": ["mean"],
        },
        {"kind": "cyclic", "group": "temporal", "periods": ["day", "year"], "harmonics": 2},
        {"kind": "value", "group": "weather", "columns": ["dewp", "temp", "pres", "iws"]},
        {"kind": "categorical", "group": "weather", "columns": ["cbwd"], "encoding": "one_hot"},
    ]
    case["targets"] = [{"name": "pm25_6h", "column": "pm25", "horizon": "6h"}]
    case["training"]["candidates"] = [
        {"name": "huber", "kind": "huber", "predict": "difference", "fixed": {"alpha": 0.001, "epsilon": 1.9}}
    ]
    case["training"]["choose"] = {"metric": "rmse"}
    case["gates"] = [{"rule": "beats_baselines", "metric": "mae"}]
    return case


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    base = tmp_path_factory.mktemp("extension")
    extension.install_project(base / "packages", ROOT / "examples" / "extension")
    (base / "case.yaml").write_text(yaml.safe_dump(usecase(), allow_unicode=True, sort_keys=False))
    return World(base)


@pytest.fixture(scope="module")
def trained(world: World) -> World:
    done = world.almanac("run", "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return world


@contextmanager
def served(trained: World, packages: str) -> Iterator[ServerProcess]:
    environment = {"ALMANAC_REGISTRY": str(trained.base / "registry")}
    environment["PYTHONPATH"] = extension.environment(trained.base / packages)["PYTHONPATH"]
    history = str(trained.latest / "data.parquet")
    process = ServerProcess(["--model", "registry:air_quality/production", "--history", history], environment)
    try:
        yield process.wait()
    finally:
        process.stop()


def test_a_run_uses_each_kind(trained: World) -> None:
    latest = trained.latest
    metrics = json.loads((latest / "metrics.json").read_text())["targets"]["pm25_6h"]
    assert metrics["model"] == "huber"
    features = json.loads((latest / "model" / "pm25_6h" / "features.json").read_text())
    assert "pm25_momentum_12h" in json.dumps(features)
    sources = json.loads((latest / "lineage.json").read_text())["sources"]
    assert [source["name"] for source in sources] == ["beijing_pm", "heating"]
    sheet = (latest / "governance" / "fact_sheet.md").read_text()
    assert f"{metrics['rmse']:.2f}" in sheet


def test_the_run_verifies_where_the_package_is_installed(trained: World) -> None:
    done = trained.almanac("verify", str(trained.latest))
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_the_package_a_verification_fails_and_says_what_to_install(trained: World) -> None:
    """Predictions and documents cannot be made again without the code that made them."""
    done = trained.almanac("verify", str(trained.latest), installed=False)
    assert done.returncode == 1
    assert "ok     hashes" in done.stdout
    told = done.stdout + done.stderr
    assert "if an extension brings it, install that package here (almanac.candidates)" in told
    assert "Traceback" not in told


def test_without_the_package_a_run_names_each_kind_that_it_lacks(world: World) -> None:
    done = world.almanac("run", "case.yaml", installed=False)
    assert done.returncode == 1
    for kind, group in (
        ("inline", "almanac.sources"),
        ("momentum", "almanac.features"),
        ("huber", "almanac.candidates"),
    ):
        assert kind in done.stderr
        assert group in done.stderr


def test_the_server_computes_the_feature_and_answers_by_entity(trained: World) -> None:
    with served(trained, "packages") as server:
        answer = server.post("/v1/models/pm25_6h:predict", REQUEST)
    assert answer.status == 200, answer.body
    stored = pl.read_parquet(trained.latest / "predictions.parquet")
    row = stored.filter(pl.col("timestamp") == datetime(2014, 12, 31, 12))
    assert answer.json["predictions"] == pytest.approx(row["prediction"].to_list(), rel=1e-12)


def test_without_the_package_the_server_names_the_kind_that_it_cannot_compute(trained: World) -> None:
    with served(trained, "nothing") as server:
        answer = server.post("/v1/models/pm25_6h:predict", REQUEST)
    assert answer.status == 501
    assert "there is no feature kind 'momentum'" in answer.json["error"]
    assert "almanac.features" in answer.json["error"]
