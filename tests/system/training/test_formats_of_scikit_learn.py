"""Bodies of scikit-learn as data: the same bytes, and the same trees in LightGBM's format."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from almanac.core.errors import ModelError
from almanac.model.lightgbm_export import booster_of
from almanac.model.skops_io import margin, read_estimator, tree_contributions, write_estimator

Array = npt.NDArray[np.float64]


def rows(n: int = 2000) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    X = rng.gamma(2.0, 30.0, size=(n, 3))
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, np.nan_to_num(X[:, 0], nan=50.0) * 0.8 + 0.1 * np.nan_to_num(X[:, 2]) + rng.normal(size=n)


def test_an_estimator_has_the_same_bytes_each_time_and_unknown_types_are_refused() -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer

    X, y = rows(500)
    made = [HistGradientBoostingRegressor(max_iter=5, random_state=0).fit(X, y) for _ in range(2)]
    data = write_estimator(made[0])
    assert data == write_estimator(made[1])
    assert np.array_equal(read_estimator(data, Path("model.skops")).predict(X), made[0].predict(X))
    with pytest.raises(ModelError, match=r"model\.skops: refused"):
        read_estimator(b"\x80\x04N.", Path("model.skops"))
    with pytest.raises(ModelError, match="not on the list of trusted types"):
        write_estimator(SimpleImputer().fit(X))


@pytest.mark.parametrize("kind", [HistGradientBoostingRegressor, HistGradientBoostingClassifier])
def test_trees_of_scikit_learn_are_the_same_trees_in_lightgbms_format(kind: Any) -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(3000, 4))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 3] = np.where(X[:, 0] > 0, np.nan, 1.0)  # a split between present and missing alone
    score = np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1]) + 3 * np.isnan(X[:, 3]) + 0.1 * rng.normal(size=3000)
    y = score > 1 if kind is HistGradientBoostingClassifier else score
    estimator = kind(max_iter=30, max_leaf_nodes=12, random_state=1).fit(X, y)
    names = list("abcd")
    settings = {"verbose": -1, "num_threads": 1}
    data = lightgbm.Dataset(X[:, :4], np.zeros(3000), feature_name=names, params=settings)
    template = lightgbm.train(settings, data, 1).model_to_string()
    booster = lightgbm.Booster(model_str=booster_of(estimator, template, X))
    assert booster.feature_name() == names
    assert any(np.isinf(grown.nodes["num_threshold"]).any() for (grown,) in estimator._predictors)
    edges = np.concatenate([grown.nodes["num_threshold"] for (grown,) in estimator._predictors])
    on_edges = rng.choice(np.append(edges[np.isfinite(edges)], np.nan), size=(5000, 4))
    for rows in (X, on_edges):
        assert np.array_equal(booster.predict(rows, raw_score=True, num_threads=1), margin(estimator)(rows))
    contributions = np.asarray(booster.predict(X[:200], pred_contrib=True, num_threads=1))
    assert np.allclose(contributions[:, :-1], tree_contributions(estimator, X[:200])[0], atol=1e-9)
