"""Exact SHAP values of a model: the trees' own plus the linear part's.

A forecast before link and clip is `body(x) + intercept + Σ coef·x`. The body's values are exact (TreeSHAP; Lundberg et
al., 2020, doi:10.1038/s42256-019-0138-9); the linear part's are `coef·(x − mean)`. Here the mean is that of the
training rows, which stands in the model directory, so that the values of different windows have one base.
"""

import re
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError
from almanac.model.forecaster import Forecaster

if TYPE_CHECKING:
    # LightGBM takes a second to import, and who only asks whether there is a model need not wait for it.
    import lightgbm

    from almanac.training.fitted import Fitted

Array = npt.NDArray[np.float64]

# Importing shap touches the table of modules and the warning filters, which all threads share.
_IMPORT = threading.Lock()


def of_fitted(model: "Fitted", X: Array) -> Array:
    """Return the contribution of each feature to each row's raw output, shape (n, f)."""
    values = np.zeros(X.shape)
    for weight, booster in model.boosters:
        values += weight * of_booster(booster, X)[0]
    if model.estimator is not None:
        values += of_estimator(model.estimator, X)[0]
    linear = model.linear
    used = np.flatnonzero(linear.coefficients)
    values[:, used] += _linear(X[:, used], linear.coefficients[used], linear.fill[used])
    return values


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
        return of_estimator(model.estimator, X)
    except ModelError as error:
        raise ModelError(f"{model.directory}: {error}") from error


def of_booster(booster: "lightgbm.Booster", X: Array, threads: int = 1) -> tuple[Array, Array]:
    """Return a booster's contributions, shape (n, f), and their base, shape (n,)."""
    both = np.asarray(booster.predict(X, pred_contrib=True, num_threads=threads), dtype=np.float64)
    return both[:, :-1].copy(), both[:, -1].copy()


def of_estimator(estimator: Any, X: Array) -> tuple[Array, Array]:
    """Return the contributions of a scikit-learn estimator of trees, shape (n, f), and their base, shape (n,).

    Raises:
        ModelError: the estimator cannot be explained.
    """
    shap = shap_package()
    try:
        both = shap.TreeExplainer(estimator)(X)
    except Exception as error:
        raise ModelError(f"{type(estimator).__name__} cannot be explained ({error})") from error
    return np.array(both.values, dtype=np.float64), np.asarray(both.base_values, dtype=np.float64).reshape(len(X))


def leaves(booster: "lightgbm.Booster") -> int:
    """Return the leaves of all trees of a booster: what explaining a row costs."""
    return sum(map(int, re.findall(r"^num_leaves=(\d+)$", booster.model_to_string(), flags=re.MULTILINE)))


def shap_package() -> Any:
    """Return the package shap, which takes seconds to import and draws on what its own dependencies call old."""
    from almanac.model.shap_import import without_numba

    with _IMPORT, warnings.catch_warnings(), without_numba():
        warnings.simplefilter("ignore")
        import shap
    return shap


def _linear(X: Array, coefficients: Array, means: Array) -> Array:
    return np.asarray(coefficients * (np.where(np.isfinite(X), X, means) - means), dtype=np.float64)
