"""Baselines: each is what its name says, and none of them sees the test span."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from almanac.features.baselines import baseline_forecasts, baseline_names
from tests.support.evaluation_world import usecase

HOURS = 24 * 40
TRAIN = np.arange(HOURS) < 24 * 30


def table(values: np.ndarray, horizon: int) -> pl.DataFrame:
    """The series as a feature table: keys, truth, last known value."""
    start = datetime(2013, 1, 1)
    column = pl.Series(values)
    return pl.DataFrame(
        {
            "timestamp": [start + timedelta(hours=at) for at in range(HOURS)],
            f"y_pm25_{horizon}h": column.shift(-horizon),
            f"last_pm25_{horizon}h": column,
        }
    )


def forecasts(values: np.ndarray, horizon: int = 1) -> dict[str, np.ndarray]:
    """The baselines' forecasts of a series."""
    case = usecase()
    target = next(each for each in case.targets if each.horizon == f"{horizon}h")
    found = baseline_forecasts(case, table(values, horizon), target, TRAIN)
    assert tuple(found) == baseline_names(case, target)
    return found


def test_the_mean_is_that_of_the_training_span() -> None:
    values = np.random.default_rng(1).normal(50, 10, HOURS)
    found = forecasts(values)
    assert found["mean"] == pytest.approx(np.full(HOURS, values[1 : 24 * 30 + 1].mean()))


def test_climatology_is_the_mean_at_the_same_phase() -> None:
    values = np.tile(np.arange(24.0), 40)
    found = forecasts(values)
    assert found["climatology"][:-1] == pytest.approx(values[1:])


def test_the_recent_mean_is_that_of_the_last_season() -> None:
    values = np.random.default_rng(2).normal(50, 10, HOURS)
    assert forecasts(values)["recent_mean"][100] == pytest.approx(values[77:101].mean())


def test_drift_adds_the_training_spans_slope() -> None:
    values = 3.0 + 0.5 * np.arange(HOURS)
    assert forecasts(values, 6)["drift"] == pytest.approx(values + 6 * 0.5)


def test_a_hole_is_no_forecast_and_no_reason_to_fail() -> None:
    values = np.random.default_rng(3).normal(50, 10, HOURS)
    values[200:260] = np.nan
    found = forecasts(values)
    assert np.isnan(found["persistence"][210])
    assert np.isnan(found["drift"][210])
    assert np.isnan(found["recent_mean"][240])
    assert np.isfinite(found["mean"]).all()
    assert np.isfinite(found["climatology"]).all()


def test_nothing_of_the_test_span_is_learned() -> None:
    values = np.random.default_rng(4).normal(50, 10, HOURS)
    changed = values.copy()
    changed[24 * 30 + 1 :] += 1000
    first, second = forecasts(values), forecasts(changed)
    for name in ("mean", "climatology"):
        assert np.array_equal(first[name], second[name])
    # At a test row these two follow what is known there, and nothing later.
    for name in ("drift", "recent_mean"):
        assert np.array_equal(first[name][: 24 * 30 + 1], second[name][: 24 * 30 + 1])
