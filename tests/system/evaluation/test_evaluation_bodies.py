"""Explanations of every kind of body that a model directory can hold."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from almanac.core.files import sha256_bytes, write_json
from almanac.evaluation.importance import explain
from almanac.evaluation.scored_rows import score_rows
from almanac.model.model import Model, load_model
from almanac.model.skops_io import write_estimator
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from tests.support import evaluation_world as world


def _model(directory: Path, table: pl.DataFrame, estimator: Any, offset: dict[str, Any]) -> Model:
    """Write a model directory with a scikit-learn body, and load it."""
    directory.mkdir()
    files = {
        "model.skops": write_estimator(estimator),
        "features.json": json.dumps({"spec": {}, "names": world.names(table), "fitted": {}}).encode(),
        "offset.json": json.dumps(offset).encode(),
        "signature.json": b'{"inputs": []}',
    }
    for name, data in files.items():
        (directory / name).write_bytes(data)
    listed = {name: {"sha256": sha256_bytes(data), "bytes": len(data)} for name, data in files.items()}
    write_json(directory / "manifest.json", {"format": 1, "target": "pm25_6h", "kind": "sklearn", "files": listed})
    return load_model(directory)


def _training(table: pl.DataFrame, column: str) -> tuple[Any, Any]:
    rows = table.filter(
        pl.col("timestamp").dt.year() == 2013, pl.col(column).is_not_null(), pl.col("pm25").is_not_null()
    )
    return world.matrix(rows), rows


@pytest.fixture(scope="module")
def table(beijing: pl.DataFrame) -> pl.DataFrame:
    return world.features(beijing)


def test_a_regression_of_scikit_learn_is_explained_exactly(table: pl.DataFrame, tmp_path: Path) -> None:
    case = world.usecase()
    X, rows = _training(table, "y_pm25_6h")
    estimator = HistGradientBoostingRegressor(max_iter=20, max_leaf_nodes=8).fit(X, rows["y_pm25_6h"] - rows["pm25"])
    offset = {"intercept": 1.5, "terms": {"pm25": 1.0, "temp": -0.5}, "fill": {"pm25": 90.0, "temp": 12.0}}
    model = _model(tmp_path / "model", table, estimator, offset)
    _adds_up(case, table, case.target("pm25_6h"), model)


def test_a_classification_of_scikit_learn_is_explained_in_log_odds(table: pl.DataFrame, tmp_path: Path) -> None:
    case = world.usecase()
    X, rows = _training(table, "y_pm25_6h")
    estimator = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8).fit(X, rows["y_pm25_6h"] > 150)
    model = _model(tmp_path / "model", table, estimator, {"link": "logit"})
    target = Target(name="pm25_6h", column="pm25", horizon="6h", task="classification", above=150.0)
    _adds_up(case, table, target, model)


def _adds_up(case: UseCase, table: pl.DataFrame, target: Target, model: Model) -> None:
    judged = score_rows(case, table, target, model)
    chosen = np.arange(0, judged.y.size, 401)
    explained = explain(model, judged, chosen)
    assert explained is not None
    total = explained.base + explained.values.sum(axis=1)
    if target.task == "classification":
        total = 1 / (1 + np.exp(-total))
    assert total == pytest.approx(judged.prediction[chosen], abs=1e-6)
    assert explained.ranking()[0][0] == "pm25"
