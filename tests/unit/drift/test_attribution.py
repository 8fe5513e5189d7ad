"""Importances that are frozen with a model, by block, on real SHAP values of a model of the real series."""

import json

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from almanac.core.errors import DriftError
from almanac.drift.outputs import importance_profile
from almanac.drift.outputs.importance_profile import ImportanceProfile, freeze, pick
from almanac.drift.profiles.seasons import calendar_of, parse_duration

NAMES = ("pm25", "dewp", "temp", "pres", "iws")
LEVEL = 0.005


@pytest.fixture(scope="module")
def explained(beijing: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Time and contributions of every sixth hour."""
    table = beijing.with_columns(truth=pl.col("pm25").shift(-24))
    train = table.filter(pl.col("timestamp").dt.year() < 2013).drop_nulls("truth")
    data = lgb.Dataset(train.select(NAMES).to_numpy(), train["truth"].to_numpy(), feature_name=list(NAMES))
    booster = lgb.train({"num_threads": 1, "verbosity": -1, "num_leaves": 15, "seed": 1}, data, 40)
    rows = table.gather_every(6)
    values = np.asarray(booster.predict(rows.select(NAMES).to_numpy(), pred_contrib=True))[:, :-1]
    return rows["timestamp"].to_physical().to_numpy(), values


@pytest.fixture(scope="module")
def reference(explained: tuple[np.ndarray, np.ndarray]) -> ImportanceProfile:
    """The importances until 2012."""
    times, values = explained
    before = times < np.datetime64("2013-01-01", "us").astype(np.int64)
    calendar = calendar_of((int(times[0]), int(times[before][-1])), "month", parse_duration("30d"))
    rows = np.flatnonzero(before)[pick(times[before], calendar, 60)]
    found = freeze(times[rows], values[rows], NAMES, calendar, 60)
    assert found is not None
    return found


def _months(explained: tuple[np.ndarray, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    times, values = explained
    months = times.astype("M8[us]").astype("M8[M]")
    later = np.unique(months[months >= np.datetime64("2013-01")])
    return [(times[months == month], values[months == month]) for month in later]


def test_each_block_is_explained_by_its_own_rows(
    reference: ImportanceProfile, explained: tuple[np.ndarray, np.ndarray]
) -> None:
    assert len(reference.blocks) == 36
    assert reference.label(0) == "2010-01"
    assert (reference.rows == 60).all()
    _, values = explained
    everything = np.abs(values[: 31 * 4]).mean(axis=0)
    assert np.corrcoef(reference.sizes[0], everything)[0, 1] > 0.9
    assert reference.null is not None
    assert reference.null.blocks == 36


def test_later_years_lean_on_the_same_features(
    reference: ImportanceProfile, explained: tuple[np.ndarray, np.ndarray]
) -> None:
    found = [reference.compare(*month, LEVEL) for month in _months(explained)]
    assert len(found) == 24
    assert sum(each.drifted for each in found) <= 1
    assert all(each.calibrated and each.p_value is not None for each in found)
    assert all(sum(each.current.values()) == pytest.approx(1) for each in found)


def test_a_ranking_that_was_turned_around_is_drift(
    reference: ImportanceProfile, explained: tuple[np.ndarray, np.ndarray]
) -> None:
    turned = [reference.compare(times, values[:, ::-1], LEVEL) for times, values in _months(explained)]
    assert all(each.drifted for each in turned)
    assert all(each.ndcg < each.least for each in turned)


def test_a_window_is_like_its_own_season(reference: ImportanceProfile) -> None:
    january = np.array([np.datetime64("2014-01-10", "us").astype(np.int64)] * 3)
    of_january = reference.sizes[[0, 12, 24]].mean(axis=0)
    assert reference.like(january) == pytest.approx(of_january)


def test_it_survives_json_and_is_the_same_each_time(
    reference: ImportanceProfile, explained: tuple[np.ndarray, np.ndarray]
) -> None:
    document = json.loads(json.dumps(reference.to_json()))
    again = importance_profile.from_json(document)
    month = _months(explained)[3]
    assert again.compare(*month, LEVEL) == reference.compare(*month, LEVEL)
    assert again.to_json() == reference.to_json()


def test_a_short_reference_is_judged_by_defaults(explained: tuple[np.ndarray, np.ndarray]) -> None:
    times, values = explained[0][:240], explained[1][:240]
    calendar = calendar_of((int(times[0]), int(times[-1])), "month", parse_duration("30d"))
    short = freeze(times[:60], values[:60], NAMES, calendar, 30)
    assert short is not None
    assert short.null is None
    found = short.compare(times[120:], values[120:], LEVEL)
    assert not found.calibrated
    assert not found.drifted


def test_a_model_that_leans_on_nothing_has_none(explained: tuple[np.ndarray, np.ndarray]) -> None:
    times, values = explained
    calendar = calendar_of((int(times[0]), int(times[-1])), "month", parse_duration("30d"))
    assert freeze(times, np.zeros_like(values), NAMES, calendar, 30) is None


def test_what_cannot_be_compared(reference: ImportanceProfile, explained: tuple[np.ndarray, np.ndarray]) -> None:
    times, values = _months(explained)[0]
    with pytest.raises(DriftError, match=r"expected \(n, 5\)"):
        reference.compare(times, values[:, :3], LEVEL)
    with pytest.raises(DriftError, match="at least one row"):
        reference.compare(times[:0], values[:0], LEVEL)
    with pytest.raises(DriftError, match="only finite values"):
        reference.compare(times, np.full_like(values, np.nan), LEVEL)
    with pytest.raises(DriftError, match="of the window is above zero"):
        reference.compare(times, np.zeros_like(values), LEVEL)
