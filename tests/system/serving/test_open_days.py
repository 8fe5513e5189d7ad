"""Models on the open days of an exchange: trained, judged and served as on days that follow each other."""

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from almanac.evaluation.evaluate import evaluate
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.model.batch import predict_span
from almanac.model.bundle import load_bundle
from almanac.model.model import load_model
from almanac.model.step_forecasts import DUE, forecast_steps
from almanac.training.train import train
from almanac.usecase import UseCase
from monitoring.windows.join import with_truth
from monitoring.windows.outputs import Features, Span
from tests.support.open_days import EVEN_FIRST, rows, usecase
from tests.support.panel import inputs
from tests.support.server import ServerProcess, Start

_FIGURES = ("rmse", "mae", "bias")
FRIDAY, SATURDAY, MONDAY = datetime(2020, 5, 15), datetime(2020, 5, 16), datetime(2020, 5, 18)


class World(NamedTuple):
    """A trained panel."""

    case: UseCase
    folder: Path
    table: pl.DataFrame
    metrics: dict[str, Any]


def made(folder: Path, case: UseCase) -> World:
    table = rows(case)
    files = inputs(case, table, folder / "in")
    train(case, files, folder / "model", folder / "tuning.json")
    metrics = evaluate(case, files.features, folder / "model", folder, folder / "tuning.json")
    table.write_parquet(folder / "table.parquet")
    return World(case, folder, table, metrics)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return made(tmp_path_factory.mktemp("open"), usecase())


@pytest.fixture
def server(world: World, start: Start) -> ServerProcess:
    return start("--history", str(world.folder / "table.parquet"), model=world.folder / "model")


def test_figures_are_those_of_days_that_follow_each_other(world: World, tmp_path: Path) -> None:
    even = made(tmp_path, usecase(calendar=None))
    assert even.table["timestamp"].min() == EVEN_FIRST
    for name, entry in world.metrics["targets"].items():
        other = even.metrics["targets"][name]
        assert entry["n"] == other["n"] > 300
        # Without intervals, which are calibrated on folds that begin on other days.
        assert [entry[figure] for figure in _FIGURES] == pytest.approx([other[figure] for figure in _FIGURES], rel=1e-9)
        for figure in _FIGURES:
            assert entry["ci"][figure] == pytest.approx(other["ci"][figure], rel=1e-9), figure
        for baseline, figures in entry["baselines"].items():
            assert figures["rmse"] == pytest.approx(other["baselines"][baseline]["rmse"], rel=1e-9), baseline


def test_a_friday_is_forecast_as_in_batch_and_a_saturday_is_refused_with_the_next_open_day(
    world: World, server: ServerProcess
) -> None:
    asked = {"instances": [{"entity": "a", "time": FRIDAY.isoformat()}]}
    answer = server.post("/v1/models/load_1d:predict", asked)
    assert answer.status == 200, answer.body
    model = load_model(world.folder / "model" / "load_1d")
    features = compute(FeatureSpec.model_validate(model.spec), world.table)
    row = features.filter((pl.col("kind") == "a") & (pl.col("timestamp") == FRIDAY)).select(model.names)
    assert answer.json["predictions"][0] == pytest.approx(float(model.predict(row.to_numpy()).prediction[0]), rel=1e-9)
    # A Saturday is no time of the model.
    asked = {"instances": [{"entity": "a", "time": SATURDAY.isoformat()}]}
    answer = server.post("/v1/models/load_1d:predict", asked)
    assert answer.status == 400
    assert "is a day that the model's calendar has closed; the next open day is 2020-05-18" in answer.json["error"]
    stored = {"observations": [{"timestamp": SATURDAY.isoformat(), "kind": "a", "load": 40.0}]}
    assert server.post("/v1/models/small:ingest", stored).status == 400


def test_every_step_is_of_an_open_day(world: World, server: ServerProcess) -> None:
    """25 May 2020 is Memorial Day, so that the steps after Thursday the 21st are the 22nd, 26th and 27th."""
    origin = datetime(2020, 5, 21)
    answer = server.post("/v1/models/load_3d:steps", {"instances": [{"entity": "b", "time": origin.isoformat()}]})
    assert answer.status == 200, answer.body
    steps = answer.json["forecasts"][0]["steps"]["load"]
    assert [step["time"][:10] for step in steps] == ["2020-05-22", "2020-05-26", "2020-05-27"]
    batch = forecast_steps(world.table, load_bundle(world.folder / "model"), origin).filter(pl.col("kind") == "b")
    assert [time.date().isoformat() for time in batch[DUE]] == ["2020-05-22", "2020-05-26", "2020-05-27"]
    assert [step["prediction"] for step in steps] == pytest.approx(batch["prediction"].to_list(), rel=1e-9)


def test_a_truth_falls_due_on_the_next_open_day(world: World) -> None:
    table = world.table
    fridays = table.filter(pl.col("timestamp") == FRIDAY).with_columns(
        target=pl.lit("load_1d"), prediction=50.0, lower=40.0, upper=60.0, version=1
    )
    joined = with_truth(world.case, table, fridays)
    assert joined["due"].unique().to_list() == [MONDAY]
    known = dict(table.filter(pl.col("timestamp") == MONDAY).select("kind", "load").iter_rows())
    assert known
    assert dict(joined.drop_nulls("y").select("kind", "y").iter_rows()) == known


def test_a_window_of_drift_has_the_history_that_its_features_need(world: World) -> None:
    model, span = load_model(world.folder / "model" / "load_3d"), Span(datetime(2020, 5, 4), datetime(2020, 6, 1))
    watched = Features(world.case, world.table)
    whole = compute(FeatureSpec.model_validate(model.spec), world.table, model.names).filter(span.holds("timestamp"))
    assert watched.of(model, span).equals(whole, null_equal=True)
    bundle = load_bundle(world.folder / "model")
    batch = predict_span(world.case, world.table, bundle, span.start, span.stop).filter(pl.col("target") == "load_3d")
    assert np.array_equal(watched.predict(model, span).to_numpy(), batch["prediction"].to_numpy(), equal_nan=True)
