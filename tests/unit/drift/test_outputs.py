"""A model's outputs against what was frozen with it, on the real series with persistence as the model.

Persistence has no fit: every one of its predictions is out of fold.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.errors import DriftError
from almanac.drift.outputs import (
    SIGNALS,
    OutputDrift,
    OutputReference,
    Window,
    compare_outputs,
    freeze,
    importance_profile,
    outputs_from_json,
    read_outputs,
)
from almanac.drift.profiles.seasons import calendar_of, parse_duration

LEVEL = 0.05 / 4
NAMES = ("temp", "dewp", "iws", "pres")
WEIGHTS = np.array([2.0, 1.0, 0.2, 0.1])


def _contributions(table: pl.DataFrame) -> np.ndarray:
    """Those of a linear model of the weather: exact, and different from season to season."""
    values = table.select(NAMES).to_numpy()
    return np.asarray(WEIGHTS * (values - np.array([12.0, 2.0, 24.0, 1016.0])))


@pytest.fixture(scope="module")
def outputs(beijing: pl.DataFrame) -> pl.DataFrame:
    """Time, weather, prediction and truth six hours ahead."""
    now = pl.col("pm25")
    return beijing.select("timestamp", *NAMES, prediction=now.forward_fill(), target=now.shift(-6))


@pytest.fixture(scope="module")
def reference(outputs: pl.DataFrame) -> OutputReference:
    """The outputs until 2012."""
    before = outputs.filter(pl.col("timestamp") < datetime(2013, 1, 1))
    times = before["timestamp"].to_physical().to_numpy()
    calendar = calendar_of((int(times.min()), int(times.max())), "month", parse_duration("30d"))
    rows = importance_profile.pick(times, calendar, 30)
    importances = importance_profile.freeze(times[rows], _contributions(before[rows]), NAMES, calendar, 30)
    return freeze(before, time="timestamp", importances=importances)


def _month(outputs: pl.DataFrame, year: int, month: int) -> pl.DataFrame:
    start = datetime(year, month, 1)
    return outputs.filter((pl.col("timestamp") >= start) & (pl.col("timestamp") < start + timedelta(days=30)))


def _compare(reference: OutputReference, rows: pl.DataFrame, **changes: Any) -> OutputDrift:
    picked = rows[reference.pick(rows.height)]
    explained = picked["timestamp"].to_physical().to_numpy(), _contributions(picked)
    parts = {"made": rows.select("timestamp", "prediction"), "known": rows.select("timestamp", "prediction", "target")}
    return compare_outputs(reference, Window(**{**parts, "explained": explained, **changes}), LEVEL)


def test_later_months_are_quiet(reference: OutputReference, outputs: pl.DataFrame) -> None:
    months = [(year, month) for year in (2013, 2014) for month in range(1, 13)]
    found = [_compare(reference, _month(outputs, *month)) for month in months]
    for signal in ("prediction", "residual", "importance"):
        assert sum(signal in each.drifted for each in found) <= 1, signal
    assert all(not each.unjudged for each in found)


@pytest.mark.parametrize(
    ("signal", "change"),
    [
        ("target", {"target": pl.col("target") * 3}),
        ("prediction", {"prediction": pl.col("prediction") * 3}),
        ("residual", {"target": pl.col("target") + 60}),
        ("residual", {"prediction": pl.col("prediction").shift(72)}),
        ("importance", {"pres": pl.col("pres") * 100}),
    ],
)
def test_what_broke_is_named(
    reference: OutputReference, outputs: pl.DataFrame, signal: str, change: dict[str, pl.Expr]
) -> None:
    months = [_month(outputs, 2014, month) for month in (1, 4, 7, 10)]
    assert sum(signal in _compare(reference, month).drifted for month in months) <= 1
    broken = [_compare(reference, month.with_columns(**change)) for month in months]
    assert sum(signal in each.drifted for each in broken) >= 3


def test_before_the_truth_arrives_predictions_and_importances_are_judged(
    reference: OutputReference, outputs: pl.DataFrame
) -> None:
    rows = _month(outputs, 2014, 5).with_columns(target=pl.lit(None, dtype=pl.Float64))
    found = _compare(reference, rows)
    assert set(found.unjudged) == {"target", "residual"}
    told = found.to_json()
    assert told["residual"] == {
        "judged": False,
        "why": "the truth of 0 of 720 predictions that fell due is known; at least 30 are needed",
    }
    assert told["prediction"]["judged"] is told["importance"]["judged"] is True
    assert told["prediction"]["rows"] == 720


def test_one_row_is_not_judged(reference: OutputReference, outputs: pl.DataFrame) -> None:
    found = _compare(reference, _month(outputs, 2014, 5).head(1))
    assert set(found.unjudged) == set(SIGNALS)
    assert found.unjudged["prediction"] == "1 predictions were made in the window; at least 30 are needed"
    assert found.drifted == ()
    assert _compare(reference, _month(outputs, 2014, 5).head(0), explained="nothing was asked").unjudged[
        "importance"
    ] == ("nothing was asked")


def test_predictions_that_are_missing_or_infinite_are_told_of(
    reference: OutputReference, outputs: pl.DataFrame
) -> None:
    day = pl.col("timestamp").dt.day()
    spoilt = pl.when(day == 1).then(None).when(day == 2).then(float("inf")).otherwise(pl.col("prediction"))
    found = _compare(reference, _month(outputs, 2014, 5).with_columns(prediction=spoilt))
    assert [f.message for f in found.findings()] == ["48 of 720 predictions are missing or infinite, and left out"]


def test_a_window_of_the_reference_itself_is_told_of(reference: OutputReference, outputs: pl.DataFrame) -> None:
    findings = _compare(reference, _month(outputs, 2012, 5)).findings()
    assert any("overlaps the reference" in finding.message for finding in findings)


def test_a_reference_survives_json(reference: OutputReference, outputs: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps({"outputs": reference.to_json()}))
    again = read_outputs(path)
    assert again is not None
    assert again.to_json() == reference.to_json()
    rows = _month(outputs, 2014, 5)
    assert _compare(again, rows).to_json() == _compare(reference, rows).to_json()
    assert json.dumps(_compare(reference, rows).to_json(), allow_nan=False)


def test_a_reference_of_an_earlier_release_has_none(tmp_path: Path, reference: OutputReference) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(reference.profile.to_json()))
    assert read_outputs(path) is None
    assert outputs_from_json({"outputs": None}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "no output reference of format 1; train the model again"),
        ({"kind": "soup"}, "no output reference of format 1"),
        ({"profile": None}, "is no drift profile"),
        ({"importance": {"names": ["a"]}}, "incomplete or damaged"),
        ({"importance": {"names": ["a"], "blocks": [1], "sizes": "AAAA"}}, "incomplete or damaged"),
    ],
)
def test_a_damaged_reference_is_refused(reference: OutputReference, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DriftError, match=message):
        outputs_from_json({"outputs": {**reference.to_json(), **change}}, "reference.json")


def test_a_file_that_is_no_reference_is_named(tmp_path: Path) -> None:
    with pytest.raises(DriftError, match="does not exist"):
        read_outputs(tmp_path / "reference.json")
    (tmp_path / "reference.json").write_text("{")
    with pytest.raises(DriftError, match="is no JSON"):
        read_outputs(tmp_path / "reference.json")


def test_a_missing_column_is_named(reference: OutputReference, outputs: pl.DataFrame) -> None:
    rows = _month(outputs, 2014, 5)
    with pytest.raises(DriftError, match="no column 'target'"):
        _compare(reference, rows, known=rows.select("timestamp", "prediction"))
    with pytest.raises(DriftError, match="no column 'prediction'"):
        freeze(outputs.drop("prediction"), time="timestamp")


def test_rows_without_truth_are_no_part_of_the_reference(reference: OutputReference, outputs: pl.DataFrame) -> None:
    before = outputs.filter(pl.col("timestamp") < datetime(2013, 1, 1))
    assert reference.profile.rows == before.drop_nulls(["target", "prediction"]).height < before.height
    assert {feature.role for feature in reference.profile.features.values()} == {"target", "prediction", "residual"}
