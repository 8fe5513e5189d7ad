"""Calibration of the prediction intervals on out-of-fold residuals."""

from collections.abc import Sequence

import numpy as np

from components.common.errors import TrainingError
from components.training.intervals import Array, Intervals

#: Bins of the prediction along which the usual size of the error is measured.
_KNOTS = 16
#: Rows of a bin below which it is joined with its neighbour; a 5% tail then still holds ten residuals.
_FEWEST = 200


def calibrate(
    y: Array,
    prediction: Array,
    last: Array | None,
    *,
    level: float,
    bins: int,
    by: str | None = None,
    edges: Sequence[float] = (),
    clip: tuple[float | None, float | None] = (None, None),
) -> Intervals:
    """Return intervals that cover `level` of the given out-of-fold rows, in every bin of the last known value.

    Args:
        y: truth, shape (n,).
        prediction: out-of-fold forecasts, shape (n,).
        last: last known value, shape (n,), NaN where missing; None for the same offsets everywhere.
        level: nominal coverage.
        bins: bins of equal counts of the last known value.
        by: name of the feature that holds it.
        edges: further edges that no bin may cross, such as those of the bands that coverage is promised for.
        clip: smallest and largest value an end may take.

    Raises:
        TrainingError: too few rows for the tails asked for.
    """
    if y.size < _FEWEST:
        raise TrainingError(f"intervals need at least {_FEWEST} out-of-fold rows; there are {y.size}")
    knots, scale = _error_scale(y - prediction, prediction)
    score = (y - prediction) / np.interp(prediction, knots, scale)
    everywhere = _offsets(score, level)
    inner = np.empty(0) if last is None or by is None else _edges(last, bins, edges)
    if last is None or by is None:
        offsets, missing = [everywhere], everywhere
    else:
        place = np.searchsorted(inner, last, side="right")
        known = np.isfinite(last)
        offsets = [_offsets(score[known & (place == k)], level) for k in range(inner.size + 1)]
        missing = _offsets(score[~known], level) if (~known).sum() >= _FEWEST else everywhere
    return Intervals(
        nominal=level,
        by=by if last is not None else None,
        edges=inner,
        lower=np.array([low for low, _ in offsets]),
        upper=np.array([high for _, high in offsets]),
        missing=missing,
        knots=knots,
        scale=scale,
        clip=clip,
    )


def _error_scale(residual: Array, prediction: Array) -> tuple[Array, Array]:
    """Return the mean absolute error at ascending predictions, never falling: high forecasts err more."""
    order = np.argsort(prediction, kind="stable")
    parts = [part for part in np.array_split(order, _KNOTS) if part.size]
    knots = np.array([prediction[part].mean() for part in parts])
    scale = np.maximum.accumulate([max(float(np.abs(residual[part]).mean()), 1e-9) for part in parts])
    distinct = np.r_[True, np.diff(knots) > 0]
    return knots[distinct], np.asarray(scale)[distinct]


def _edges(last: Array, bins: int, fixed: Sequence[float]) -> Array:
    known = np.sort(last[np.isfinite(last)])
    if known.size == 0:
        return np.empty(0)
    quantiles = np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1], method="lower")
    kept: list[float] = []
    for edge in np.unique(np.r_[quantiles, np.asarray(fixed, dtype=np.float64)]):
        if _between(known, kept[-1] if kept else -np.inf, edge) >= _FEWEST:
            kept.append(float(edge))
        elif edge in fixed and kept and kept[-1] not in fixed:
            kept[-1] = float(edge)
    while kept and _between(known, kept[-1], np.inf) < _FEWEST:
        kept.pop()
    return np.array(kept)


def _between(ordered: Array, low: float, high: float) -> int:
    return int(np.searchsorted(ordered, high) - np.searchsorted(ordered, low))


def _offsets(score: Array, level: float) -> tuple[float, float]:
    """Return the conformal order statistics at both tails, each with half of what may be missed."""
    ordered = np.sort(score)
    tail = (1.0 - level) / 2.0
    below = max(int(np.floor((ordered.size + 1) * tail)), 1)
    above = min(int(np.ceil((ordered.size + 1) * (1.0 - tail))), ordered.size)
    return float(ordered[below - 1]), float(ordered[above - 1])
