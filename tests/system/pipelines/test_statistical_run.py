"""A use case whose candidates read a series' own past: run, registry, verification, batch and server."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.files import read_json
from tests.support import panel
from tests.support.server import Start

ROOT = Path(__file__).resolve().parents[3]
ORDERS = {"max_p": 1, "max_q": 1, "max_P": 0, "max_Q": 1, "D": 1}
#: Beside exponential smoothing, a target for each other kind.
OTHERS: dict[str, dict[str, Any]] = {
    "load_1h": {"name": "auto_arima", "kind": "arima", "season": "24h", "learn_from": 240, "fixed": ORDERS},
    "load_3h": {"name": "auto_theta", "kind": "theta", "season": "24h", "learn_from": 240},
    "load_2h": {"name": "regression", "kind": "additive_regression", "season": "24h", "learn_from": 400},
}


def almanac(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "pipeline.py", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run of the meters, and where its runs and its registry are."""
    folder = tmp_path_factory.mktemp("meters")
    candidates = [{**panel.ETS, "targets": ["load_6h"]}]
    candidates += [{**candidate, "targets": [target]} for target, candidate in OTHERS.items()]
    targets = [{"name": name, "column": "load", "horizon": name.removeprefix("load_")} for name in ("load_6h", *OTHERS)]
    more = {"targets": targets, "drift": {"window": "20d"}}
    path = panel.write_project(folder, *candidates, test_from=date(2020, 5, 1), **more)
    places = ["--out", str(folder / "runs"), "--registry", str(folder / "registry")]
    almanac("run", path, *places)
    return path, places


@pytest.fixture
def latest(project: tuple[Path, list[str]]) -> Path:
    return project[0].parent / "runs" / "meters" / "latest"


def test_a_run_is_registered_and_verifies(project: tuple[Path, list[str]], latest: Path) -> None:
    metrics = read_json(latest / "metrics.json")["targets"]["load_6h"]
    assert read_json(latest / "model" / "load_6h" / "manifest.json")["kind"] == "ets"
    assert metrics["rmse"] < min(each["rmse"] for each in metrics["baselines"].values())
    assert metrics["coverage"]["overall"] == pytest.approx(0.9, abs=0.03)
    verified = json.loads(almanac("verify", latest, "--json"))
    assert verified["not_checked"] == []


def test_a_later_run_compares_the_registered_models_outputs(project: tuple[Path, list[str]]) -> None:
    path, places = project
    almanac("run", path, *places)
    drift = read_json(path.parent / "runs" / "meters" / "latest" / "drift.json")
    assert drift["against"] == "registry:meters/1"
    assert drift["outputs"]["load_6h"]["prediction"]["judged"]
    assert "has no explanation" in json.dumps(drift["outputs"]["load_6h"]["importance"])
    almanac("monitor", path, *places)


def test_the_server_says_what_the_batch_says(
    project: tuple[Path, list[str]], latest: Path, start: Start, tmp_path: Path
) -> None:
    """By the feature store, by a history that the request brings, and for an entity that training has not seen."""
    path, places = project
    almanac("predict", path, *places, "--start", "2020-06-01")
    batch = pl.read_parquet(path.parent / "runs" / "meters" / "batch" / "latest" / "predictions.parquet")
    batch = batch.filter(pl.col("target") == "load_6h")
    almanac("batch", latest / "data.parquet", tmp_path / "whole.parquet", "--model", latest / "model")
    whole = pl.read_parquet(tmp_path / "whole.parquet").filter(pl.col("timestamp") >= pl.datetime(2020, 6, 1))
    assert batch["prediction"].to_list() == whole["load_6h_prediction"].to_list()

    server = start("--history", str(latest / "data.parquet"), model=latest / "model")
    measured = pl.read_parquet(latest / "data.parquet").drop_nulls("load")
    chosen = batch.filter(pl.col("timestamp").dt.hour() == 7).join(measured, on=["meter", "timestamp"], how="semi")
    assert chosen["meter"].n_unique() == 3
    rows: list[dict[str, Any]] = [
        {"entity": row["meter"], "time": row["timestamp"].isoformat()} for row in chosen.to_dicts()
    ]
    answer = server.post("/v1/models/load_6h:predict", {"instances": rows})
    assert answer.status == 200, answer.body
    assert answer.json["predictions"] == pytest.approx(chosen["prediction"].to_list(), rel=1e-9)
    ends = [[interval["lower"], interval["upper"]] for interval in answer.json["intervals"]]
    np.testing.assert_allclose(ends, chosen.select("lower", "upper").to_numpy(), rtol=1e-9)

    one = server.post("/v1/models/load_6h:predict", {"instances": rows[:1]})
    assert one.json["predictions"] == answer.json["predictions"][:1]

    table = pl.read_parquet(latest / "data.parquet")
    time = chosen["timestamp"][0]
    past = table.filter((pl.col("meter") == chosen["meter"][0]) & (pl.col("timestamp") <= time)).tail(200)
    history = {"load": past["load"].to_list()}
    brought = {"entity": chosen["meter"][0], "time": time.isoformat(), "history": history}
    assert server.post("/v1/models/load_6h:predict", {"instances": [brought]}).json["predictions"] == [
        pytest.approx(chosen["prediction"][0], rel=1e-9)
    ]
    unseen = server.post("/v1/models/load_6h:predict", {"instances": [{**brought, "entity": "south"}]})
    assert unseen.status == 200
    assert unseen.json["warnings"] == [
        "entity 'south' is unseen: load_6h has learned from 3 other entities, and its interval is that of their errors"
    ]
    short = {**brought, "history": {"load": history["load"][-20:]}}
    refused = server.post("/v1/models/load_6h:predict", {"instances": [short]})
    assert refused.status == 400
    assert "20 rows where the model looks back 168" in refused.json["error"]


@pytest.mark.parametrize("target", OTHERS)
def test_each_kind_answers_as_its_batch_does(latest: Path, start: Start, target: str, tmp_path: Path) -> None:
    """With an interval, for known entities and, by the model of a typical one, for another."""
    assert read_json(latest / "model" / target / "manifest.json")["kind"] == OTHERS[target]["kind"]
    almanac("batch", latest / "data.parquet", tmp_path / "whole.parquet", "--model", latest / "model")
    whole = pl.read_parquet(tmp_path / "whole.parquet").filter(pl.col("timestamp") == pl.datetime(2020, 6, 1, 7))
    assert whole["meter"].to_list() == ["east", "north", "west"]
    server = start("--history", str(latest / "data.parquet"), model=latest / "model")
    rows: list[dict[str, Any]] = [{"entity": name, "time": "2020-06-01T07:00:00"} for name in whole["meter"]]
    answer = server.post(f"/v1/models/{target}:predict", {"instances": rows})
    assert answer.status == 200, answer.body
    assert answer.json["predictions"] == pytest.approx(whole[f"{target}_prediction"].to_list(), rel=1e-9)
    for interval, prediction in zip(answer.json["intervals"], answer.json["predictions"], strict=True):
        assert interval["lower"] < prediction < interval["upper"]

    past = pl.read_parquet(latest / "data.parquet").filter(
        (pl.col("meter") == "east") & (pl.col("timestamp") <= pl.datetime(2020, 6, 1, 7))
    )
    history = {"load": past["load"].tail(200).to_list()}
    unseen = server.post(
        f"/v1/models/{target}:predict",
        {"instances": [{"entity": "south", "time": "2020-06-01T07:00:00", "history": history}]},
    )
    assert unseen.status == 200, unseen.body
    assert "entity 'south' is unseen" in unseen.json["warnings"][0]
    assert unseen.json["predictions"][0] == pytest.approx(answer.json["predictions"][0], rel=0.2)


@pytest.mark.parametrize("form", [{"instances": [{"load": 30.0}]}, {"instances": [[30.0], [31.0]]}])
def test_features_alone_are_refused(latest: Path, start: Start, form: dict[str, Any]) -> None:
    answer = start(model=latest / "model").post("/v1/models/load_6h:predict", form)
    assert answer.status == 400
    assert "predicts from the history of a series; ask by entity and time" in answer.json["error"]


def test_an_explanation_is_refused_with_the_reason(latest: Path, start: Start) -> None:
    server = start("--history", str(latest / "data.parquet"), model=latest / "model")
    rows = [{"entity": "east", "time": "2020-06-01T07:00:00"}]
    answer = server.post("/v1/models/load_6h:explain", {"instances": rows})
    assert answer.status == 422
    assert "a model of kind ets has no explanation" in answer.json["error"]
