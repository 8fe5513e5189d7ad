"""Batch prediction with a real version in production, as a component and as the whole pipeline."""

import io
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from kfp import dsl

from almanac.core.errors import DeploymentError, TableError
from almanac.core.files import read_json, sha256_file
from almanac.model.model import load_model
from almanac.model.prediction_span import prediction_span
from components.prediction.component import prediction as component
from components.prediction.task import predict
from governance.registry import resolve
from orchestration import recurring
from orchestration.console import Screen
from orchestration.run import Request
from tests.support.production import ROOT, Production
from tests.support.use_case_artifact import use_case_artifact

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_predictions_are_those_of_the_model_format(production: Production) -> None:
    found = predict(production.case, production.table, production.registry, "2014-12-01", "2014-12-08")
    table = found.table
    assert table.height == 7 * 24
    assert table["timestamp"].to_list() == [datetime(2014, 12, 1) + timedelta(hours=h) for h in range(7 * 24)]
    directory = resolve(f"registry:{production.case.name}/production", production.registry)
    model = load_model(directory / "pm25_6h")
    features = pl.read_parquet(production.features).filter(
        pl.col("timestamp").is_between(datetime(2014, 12, 1), datetime(2014, 12, 8), closed="left")
    )
    X = np.column_stack([features[name].to_numpy() for name in model.names])
    predicted = model.predict(X)
    expected = predicted.prediction
    np.testing.assert_array_equal(table["prediction"].to_numpy(), expected)
    np.testing.assert_array_equal(table["lower"].to_numpy(), predicted.lower)
    np.testing.assert_array_equal(table["upper"].to_numpy(), predicted.upper)
    decision = production.case.serving.decision
    assert decision is not None
    places = np.searchsorted(decision.thresholds, expected, side="right")
    assert table["signal"].to_list() == [decision.names[place] for place in places]
    assert set(table["version"].to_list()) == {1}
    assert set(table["digest"].to_list()) == {sha256_file(directory / "manifest.json")}


@pytest.mark.parametrize(
    ("start", "stop", "first", "end"),
    [
        ("", "", datetime(2014, 12, 31, 23), datetime(2015, 1, 1)),
        ("2014-12-31T08:00:00+08:00", "2014-12-31T06:00:00", datetime(2014, 12, 31), datetime(2014, 12, 31, 6)),
        ("windows:2", "", datetime(2014, 11, 1, 18), datetime(2015, 1, 1)),
    ],
)
def test_spans(production: Production, start: str, stop: str, first: datetime, end: datetime) -> None:
    times = pl.read_parquet(production.table)["timestamp"]
    assert prediction_span(production.case, times, start, stop) == (first, end)


@pytest.mark.parametrize(
    ("start", "stop", "message"),
    [
        ("yesterday", "", "start is 'yesterday'; write a time in ISO 8601"),
        ("windows:0", "", "windows: and a whole number"),
        ("2020-01-01", "2020-02-01", "no row of the table lies from 2020-01-01"),
    ],
)
def test_a_wrong_span_is_named(production: Production, start: str, stop: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        predict(production.case, production.table, production.registry, start, stop)


def test_without_a_version_in_production_nothing_is_predicted(production: Production, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="no version is in production"):
        predict(production.case, production.table, str(tmp_path / "registry"))


def test_a_table_without_a_column_is_refused_by_name(production: Production, tmp_path: Path) -> None:
    pl.read_parquet(production.table).drop("iws").write_parquet(tmp_path / "t.parquet")
    with pytest.raises(Exception, match="iws"):
        predict(production.case, tmp_path / "t.parquet", production.registry)


def test_the_component_keeps_the_same_predictions_once_in_the_log(production: Production, tmp_path: Path) -> None:
    def call() -> dsl.Dataset:
        out = dsl.Dataset(uri=str(tmp_path / "predictions.parquet"))
        table = dsl.Dataset(uri=str(production.table))
        span = ("2014-12-30", "2015-01-01")
        case = use_case_artifact(production.case, tmp_path)
        component.python_func(case, table, production.registry, *span, str(tmp_path / "log"), out)
        return out

    first = call()
    data = Path(first.path).read_bytes()
    again = call()
    assert Path(again.path).read_bytes() == data
    assert first.metadata["model_version"] == 1
    kept = sorted((tmp_path / "log").rglob("*"))
    assert [path.name for path in kept] == ["air_quality", "20141230T000000-20141231T230000-v1.parquet"]
    assert kept[1].read_bytes() == data


def test_the_whole_pipeline_by_the_subprocess_runner(production: Production, tmp_path: Path) -> None:
    from pipelines import batch_pipeline

    screen = io.StringIO()
    request = Request(production.case, ROOT / "usecases" / "air_quality.yaml", tmp_path, production.registry)
    span = {"start": "2014-12-31", "stop": "", "log": str(tmp_path / "log")}
    directory = recurring.predict(request, batch_pipeline(production.case), span, Screen(screen))
    assert [step["name"] for step in read_json(directory / "run.json")["steps"]] == [
        "configuration",
        "ingestion",
        "validation",
        "prediction",
    ]
    table = pl.read_parquet(directory / "predictions.parquet")
    assert table.height == 24
    expected = predict(production.case, production.table, production.registry, "2014-12-31").table
    assert table.equals(expected)
    assert "24 rows  1 targets by version 1" in screen.getvalue()
