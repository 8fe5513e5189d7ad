"""Exact SHAP values of a model: the trees' own plus the linear part's.

A forecast before link and clip is `body(x) + intercept + Σ coef·x`. The body's values are exact (TreeSHAP; Lundberg et
al., 2020, doi:10.1038/s42256-019-0138-9); the linear part's are `coef·(x − mean)`. Here the mean is that of the
training rows, which stands in the model directory, so that the values of different windows have one base.
"""

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError
from almanac.model.forecaster import Forecaster
from almanac.model.skops_io import tree_contributions

if TYPE_CHECKING:
    # LightGBM takes a second to import, and who only asks whether there is a model need not wait for it.
    import lightgbm

Array = npt.NDArray[np.float64]


def of_forecaster(model: Forecaster, X: Array) -> Array:
    """Return the contribution of each feature to each row's raw output, shape (n, f), of a model that was read."""
    values = of_body(model, X)[0]
    offset = model.offset
    values[:, offset.columns] += _linear(X[:, offset.columns], offset.coefficients, offset.fill)
    return values


def of_body(model: Forecaster, X: Array, threads: int = 1) -> tuple[Array, Array]:
    """Return the contributions of a model's body, shape (n, f), and their base, shape (n,).

    Raises:
        ModelError: the body is of a kind that cannot be explained.
    """
    if model.booster is not None:
        return of_booster(model.booster, X, threads)
    if model.estimator is None:
        return np.zeros(X.shape), np.zeros(len(X))
    try:
        return tree_contributions(model.estimator, X)
    except ModelError as error:
        raise ModelError(f"{model.directory}: {error}") from error


def of_booster(booster: "lightgbm.Booster", X: Array, threads: int = 1) -> tuple[Array, Array]:
    """Return a booster's contributions, shape (n, f), and their base, shape (n,)."""
    both = np.asarray(booster.predict(X, pred_contrib=True, num_threads=threads), dtype=np.float64)
    return both[:, :-1].copy(), both[:, -1].copy()


def leaves(booster: "lightgbm.Booster") -> int:
    """Return the leaves of all trees of a booster: what explaining a row costs."""
    return sum(map(int, re.findall(r"^num_leaves=(\d+)$", booster.model_to_string(), flags=re.MULTILINE)))


def _linear(X: Array, coefficients: Array, means: Array) -> Array:
    return np.asarray(coefficients * (np.where(np.isfinite(X), X, means) - means), dtype=np.float64)
