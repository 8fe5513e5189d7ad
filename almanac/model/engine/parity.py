"""Comparison of compiled kernels with LightGBM, on rows made from the model's own thresholds."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from almanac.model.engine import booster as lightgbm
from almanac.model.engine.model_text import Forest
from almanac.model.engine.reference import Reference

# Enough rows for several blocks of the batch kernel and for its rest; a load must not wait for more.
_ROWS = 192
_SINGLE_ROWS = 24
# An explanation costs as much as hundreds of predictions.
_EXPLAINED_ROWS = 3
_TOLERANCE = 1e-9
_LAST_BITS = 1e-14
_TINY = float(np.float32(1e-35))  # LightGBM's kZeroThreshold
_SPECIAL = np.array(
    [np.nan, 0.0, -0.0, np.inf, -np.inf, _TINY, -_TINY, np.nextafter(_TINY, 1), 1e-36, 1e300, -1.0, -0.5, 3e9, 2.5]
)


class Predictor(Protocol):
    """Predictions that must equal those of LightGBM."""

    def predict_row(self, x: NDArray[np.float64]) -> float: ...  # noqa: D102

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]: ...  # noqa: D102

    def score(self, X: NDArray[np.float64]) -> NDArray[np.float64]: ...  # noqa: D102


class Explainer(Protocol):
    """Contributions that must equal those of LightGBM."""

    base: float

    def explain(self, X: NDArray[np.float64]) -> NDArray[np.float64]: ...  # noqa: D102


def threshold_rows(f: Forest, features: int, count: int = _ROWS, seed: int = 0) -> NDArray[np.float64]:
    """Return rows (count, features) with values at and next to the thresholds of splits.

    Two thirds are thresholds of the feature, or the doubles just below and above one; the others are categories,
    missing values, zeros, infinities and the values around LightGBM's own notion of zero.
    """
    draw = np.random.default_rng(seed)
    X = draw.integers(-1, 64, (count, features)).astype(np.float64)
    numerical = ~f.categorical
    for feature in range(features):
        thresholds = f.threshold[numerical & (f.feature == feature)]
        if len(thresholds):
            values = draw.choice(thresholds, count)
            side = draw.integers(0, 3, count)
            X[:, feature] = np.where(side == 0, values, np.nextafter(values, np.where(side == 1, -np.inf, np.inf)))
    special = draw.random((count, features)) < 1 / 3
    X[special] = draw.choice(_SPECIAL, int(special.sum()))
    return X


def predicts_exactly(predictor: Predictor, reference: Reference, f: Forest) -> bool:
    """Return whether `predictor` gives the reference's predictions in every bit, by rows and by matrix.

    Where a link follows an offset, NumPy's exponential may differ from the C library's in the last bits; there, and
    there only, these are allowed.
    """
    X = threshold_rows(f, reference.booster.num_features)
    # The sums by themselves, since a large offset would cover their last bits.
    if not np.array_equal(predictor.score(X), reference.booster.predict(X, lightgbm.predict_raw), equal_nan=True):
        return False
    expected = reference.predict(X)
    singles = np.array([predictor.predict_row(x) for x in X[:_SINGLE_ROWS]])
    rows = predictor.predict(X)
    if not np.array_equal(singles, rows[:_SINGLE_ROWS], equal_nan=True):
        return False
    if reference.plain or reference.link == "identity":
        return np.array_equal(rows, expected, equal_nan=True)
    return np.allclose(rows, expected, rtol=_LAST_BITS, atol=0.0, equal_nan=True)


def explains_equally(explainer: Explainer, booster: lightgbm.Booster, f: Forest) -> bool:
    """Return whether `explainer` gives LightGBM's contributions within 1e-9 of the largest of them, or of 1."""
    X = threshold_rows(f, booster.num_features, _EXPLAINED_ROWS, seed=1)
    expected = booster.predict(X, lightgbm.predict_contributions)
    if not np.isfinite(expected).all():
        return False
    tolerance = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
    got = np.column_stack([explainer.explain(X), np.full(len(X), explainer.base)])
    return bool(np.abs(got - expected).max() <= tolerance)
