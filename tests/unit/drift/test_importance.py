import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from almanac.core.errors import DriftError
from almanac.drift.outputs.importance import importance_drift, importances

NAMES = ["pm25", "dewp", "temp", "pres", "iws"]


@pytest.fixture(scope="module")
def contributions(beijing: pl.DataFrame) -> dict[int, np.ndarray]:
    table = beijing.with_columns(truth=pl.col("pm25").shift(-24), year=pl.col("timestamp").dt.year()).drop_nulls(
        "truth"
    )
    train = table.filter(pl.col("year") == 2010)
    data = lgb.Dataset(train.select(NAMES).to_numpy(), train["truth"].to_numpy(), feature_name=NAMES)
    booster = lgb.train({"num_threads": 1, "verbosity": -1, "num_leaves": 15}, data, 30)
    years = {year: table.filter(pl.col("year") == year).select(NAMES).to_numpy()[:2000] for year in (2011, 2012)}
    return {key: np.asarray(booster.predict(X, pred_contrib=True)) for key, X in years.items()}


def test_another_year_leans_on_the_same_features(contributions: dict[int, np.ndarray]) -> None:
    before, now = (importances(contributions[year], NAMES) for year in (2011, 2012))
    found = importance_drift(before, now)
    assert 0.9 <= found.ndcg <= 1
    assert not found.drifted
    assert sum(found.current.values()) == pytest.approx(1)


def test_a_reversed_ranking_is_drift() -> None:
    before = {"a": 8.0, "b": 1.0, "c": 0.5, "d": 0.1}
    now = {"a": 0.1, "b": 0.5, "c": 1.0, "d": 9.0}
    found = importance_drift(before, now)
    assert found.drifted
    assert found.to_json()["features"][0]["feature"] == "d"


def test_what_cannot_be_compared() -> None:
    with pytest.raises(DriftError, match="b are on one side"):
        importance_drift({"a": 1.0, "b": 1.0}, {"a": 1.0})
    with pytest.raises(DriftError, match="above zero"):
        importance_drift({"a": 1.0}, {"a": 0.0})
    with pytest.raises(DriftError, match="above zero"):
        importance_drift({"a": 0.0}, {"a": 1.0})
    with pytest.raises(DriftError, match="expected"):
        importances(np.zeros((3, 4)), ["a"])
    with pytest.raises(DriftError, match="at least one row"):
        importances(np.zeros((0, 1)), ["a"])
