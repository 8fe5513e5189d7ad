import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from almanac.core.errors import DriftError
from almanac.drift.error_estimation import LossModel, fit_loss, read_loss

NAMES = ["now", "before", "change", "dewp", "temp", "pres", "iws"]
HORIZON = 6


@pytest.fixture(scope="module")
def rows(beijing: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    now = pl.col("pm25")
    table = beijing.with_columns(
        now=now,
        before=now.shift(1),
        change=now - now.shift(3),
        truth=now.shift(-HORIZON),
        year=pl.col("timestamp").dt.year(),
    )
    X = table.select(NAMES).to_numpy()
    return X, table["truth"].to_numpy(), table["pm25"].to_numpy(), table["year"].to_numpy()


@pytest.fixture(scope="module")
def model(rows: tuple[np.ndarray, ...]) -> LossModel:
    X, truth, prediction, year = rows
    # Persistence has no fit, so that every one of its residuals is out of fold.
    known = year <= 2012
    return fit_loss(X[known], (truth - prediction)[known], NAMES)


def _months(rows: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    _, truth, prediction, year = rows
    later = np.flatnonzero((year > 2012) & np.isfinite(truth - prediction))
    return np.array_split(later, 24)


def test_the_estimate_is_borne_out_when_the_truth_arrives(rows: tuple[np.ndarray, ...], model: LossModel) -> None:
    X, truth, prediction, _ = rows
    estimated = [model.estimate(X[month]) for month in _months(rows)]
    realised = [model.realised(truth[month], prediction[month]) for month in _months(rows)]
    inside = [e.mae_interval[0] <= r.mae <= e.mae_interval[1] for e, r in zip(estimated, realised, strict=True)]
    assert np.mean(inside) >= 0.8
    a, b = np.array([e.mae for e in estimated]), np.array([r.mae for r in realised])
    assert np.corrcoef(a, b)[0, 1] > 0.8
    assert np.abs(a - b).mean() < 0.5 * np.abs(b - model.reference_mae).mean()
    assert {e.kind for e in estimated} == {"estimated"}
    assert {r.kind for r in realised} == {"realised"}


def test_false_alarms_of_the_realised_error(rows: tuple[np.ndarray, ...], model: LossModel) -> None:
    _, truth, prediction, _ = rows
    months = _months(rows)
    alarms = [model.realised(truth[m], prediction[m]).p_value < 0.05 for m in months]
    assert np.mean(alarms) <= 0.15
    worse = [model.realised(truth[m], prediction[m] + 60).p_value < 0.05 for m in months]
    assert np.mean(worse) >= 0.8


def test_a_model_survives_json(model: LossModel, tmp_path: Path) -> None:
    model.write(tmp_path / "loss.json")
    assert read_loss(tmp_path / "loss.json") == model
    (tmp_path / "loss.json").write_text('{"kind": "loss model", "format": 7}')
    with pytest.raises(DriftError, match="no loss model of format 1"):
        read_loss(tmp_path / "loss.json")
    with pytest.raises(DriftError, match=r"nowhere\.json does not exist"):
        read_loss(tmp_path / "nowhere.json")
    document = model.to_json()
    del document["skill"]
    (tmp_path / "loss.json").write_text(json.dumps(document))
    with pytest.raises(DriftError, match=r"incomplete or damaged \(KeyError: 'skill'\)"):
        read_loss(tmp_path / "loss.json")
    (tmp_path / "loss.json").write_text(json.dumps({**model.to_json(), "absolute": "tree"}))
    with pytest.raises(DriftError, match="holds no LightGBM text"):
        read_loss(tmp_path / "loss.json").estimate(np.zeros((5, 7)))


def test_what_cannot_be_fitted_or_judged(model: LossModel) -> None:
    X = np.zeros((500, 7))
    with pytest.raises(DriftError, match="at least 10 blocks"):
        fit_loss(X, np.ones(500), NAMES)
    with pytest.raises(DriftError, match="residual has shape"):
        fit_loss(X, np.ones(3), NAMES)
    with pytest.raises(DriftError, match="must have the 7 columns"):
        model.estimate(np.zeros((5, 2)))
    with pytest.raises(DriftError, match="no rows"):
        model.estimate(np.zeros((0, 7)))
    with pytest.raises(DriftError, match="must agree"):
        model.realised(np.zeros(3), np.zeros(2))
    with pytest.raises(DriftError, match="both a truth and a prediction"):
        model.realised(np.full(3, np.nan), np.zeros(3))
