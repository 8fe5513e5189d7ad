"""Calibration of the prediction intervals on out-of-fold residuals.

Within each bin of the last known value the offsets are order statistics of the residuals; their level is calibrated
forward in time, separately for each band. Both use the folds only and never the test span.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError
from almanac.model.intervals import EntityOffsets, Intervals
from almanac.usecase.fold_lengths import fewest_calibrated

#: Bins of the prediction in which the mean absolute error is measured.
_KNOTS = 16
#: Rows of a knot; with fewer its mean would follow single residuals.
_FEWEST_AT_A_KNOT = 12
#: Rows of a bin below which it is merged with its neighbour; a 5% tail then still holds ten residuals.
_FEWEST = 200
#: Rows of an entity from which its errors have a size of their own.
_FEWEST_OF_ENTITY = 50
#: Rows of usual errors that every entity is given beside its own.
_PRIOR = 50
#: Relative error of a product and a sum, with room to spare.
_ROUNDING = 1e-12
#: Rows without the feature below which the offsets of all rows stand in for their own; a 5% tail then holds three
#: residuals. By last values without imputation such offsets covered 90% and 97% of the next fold's rows an hour ahead
#: in the reference series, those of all rows 70%.
_FEWEST_UNKNOWN = 60
#: Halvings in the search for a level; the last step is a hundredth of a percent of coverage or less.
_HALVINGS = 12


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
    entity: Sequence[str] | None = None,
    width: Array | None = None,
) -> Intervals:
    """Return intervals that cover `level` of the given out-of-fold rows, in every bin of the last known value.

    Args:
        y: truth, shape (n,).
        prediction: out-of-fold forecasts, shape (n,).
        last: last known value, shape (n,), NaN where missing; None for the same offsets everywhere.
        level: nominal coverage.
        bins: bins of equal counts of the last known value.
        by: name of the feature that holds it.
        edges: further edges that no bin may cross, such as those of the bands for which coverage is reported.
        fold: number of each row's fold, oldest first, shape (n,). With it the level of each band's offsets is itself
            calibrated, see `_levels`; without it the level of every band is `level`.
        clip: smallest and largest value an end may take.
        entity: entity of each row. With it, entities of enough rows have intervals of their own, see `_factors`.
        width: relative width of each row, shape (n,), by which the usual error at the height of its forecast is
            multiplied; 1 when None.

    Raises:
        TrainingError: too few rows for the tails.
    """
    if y.size < (fewest := fewest_calibrated(level)):
        raise TrainingError(f"intervals of level {level} need at least {fewest} out-of-fold rows; there are {y.size}")
    by = by if last is not None else None
    inner = np.empty(0) if last is None or by is None else _edges(last, bins, edges)
    rows = _Rows(y, prediction, last if by is not None else None, inner, width=width)
    # An edge that too few rows separate from another is gone, and its two bands share a level.
    cuts = [edge for edge in edges if edge in inner]

    def fitted(rows: _Rows) -> Intervals:
        levels = np.full(len(cuts) + 1, level) if fold is None else _levels(rows, level, cuts, fold)
        return _fit(rows, level, levels[_band_of_bin(inner, cuts)], by, clip)

    intervals = fitted(rows)
    if entity is None:
        return intervals
    names, counts = np.unique(np.asarray(entity, dtype=np.str_), return_counts=True)
    known = {str(name) for name, count in zip(names, counts, strict=True) if count >= _FEWEST_OF_ENTITY}
    if not known:
        return intervals
    own = fitted(replace(rows, entity=np.asarray(entity, dtype=np.object_))).entities
    assert own is not None
    factors = {name: factor for name, factor in own.factors.items() if name in known}
    return replace(intervals, entities=replace(own, factors=factors))


@dataclass(frozen=True)
class _Rows:
    """Calibration rows, the bins of their last known value, and their entities if these have offsets of their own."""

    y: Array
    prediction: Array
    last: Array | None
    edges: Array
    entity: npt.NDArray[np.object_] | None = None
    width: Array | None = None

    def take(self, keep: npt.NDArray[np.bool_]) -> "_Rows":
        last = None if self.last is None else self.last[keep]
        entity = None if self.entity is None else self.entity[keep]
        width = None if self.width is None else self.width[keep]
        return _Rows(self.y[keep], self.prediction[keep], last, self.edges, entity, width)


def _fit(
    rows: _Rows, level: float, levels: Array, by: str | None, clip: tuple[float | None, float | None]
) -> Intervals:
    """Return the intervals whose offsets cover the share `levels` of each bin's rows."""
    residual = rows.y - rows.prediction
    if rows.width is not None:
        residual = residual / rows.width
    knots, scale = error_scale(residual, rows.prediction)
    score = residual / np.interp(rows.prediction, knots, scale)
    factors: dict[str, float] = {}
    if rows.entity is not None:
        factors = _factors(np.abs(score), rows.entity)
        score = score / np.array([factors[name] for name in rows.entity])
    if rows.last is None:
        offsets, missing = [_offsets(score, float(levels[0]))], _offsets(score, level)
    else:
        missing = _offsets(score, level)
        place, known = np.searchsorted(rows.edges, rows.last, side="left"), np.isfinite(rows.last)
        scores = [score[known & (place == k)] for k in range(rows.edges.size + 1)]
        # A bin that has no rows yet is given those of all bins, at the level that is asked of it.
        offsets = [
            _offsets(part if part.size else score, float(asked)) for part, asked in zip(scores, levels, strict=True)
        ]
        if (~known).sum() >= _FEWEST_UNKNOWN:
            missing = _offsets(score[~known], level)
    lower, upper = (np.array([pair[end] for pair in offsets]) for end in (0, 1))
    own = None if rows.entity is None else EntityOffsets(factors, lower, upper, missing)
    return Intervals(level, by, rows.edges, lower, upper, missing, knots, scale, clip, own)


def _factors(size: Array, entity: npt.NDArray[np.object_]) -> dict[str, float]:
    """Return the mean size of each entity's scores over that of all, shrunk towards one.

    An entity's mean counts as one of `_PRIOR` rows more that have the mean of all: its errors follow each other, so
    that many rows say little. The offsets are order statistics of the scores divided by these factors, a
    normalised conformity score (Papadopoulos et al., 2002, doi:10.1007/3-540-36755-1_29) whose normaliser is the
    entity's.
    """
    names, code = np.unique(entity.astype(np.str_), return_inverse=True)
    n, total, mean = np.bincount(code), np.bincount(code, weights=size), max(float(size.mean()), 1e-12)
    factors = (total + _PRIOR * mean) / (n + _PRIOR) / mean
    return {str(name): float(factor) for name, factor in zip(names, factors, strict=True)}


def _levels(rows: _Rows, level: float, cuts: list[float], fold: npt.NDArray[np.int64]) -> Array:
    """Return the level of each band that gives the nominal coverage in later folds, shape (len(cuts) + 1,).

    Order statistics cover the rows that they were taken from, but a served model predicts the next span, with other
    weather and by a model that has seen more. So each of the m folds after the first is covered by intervals calibrated
    on the folds before it, as the next span will be (Dawid, 1984, "The prequential approach", JRSS A 147), and the
    nominal level is corrected by that coverage (Loh, 1987, "Calibrating confidence coefficients", JASA 82; Gibbs and
    Candès, 2021, arXiv:2106.00170, do it online). A deviation over so few spans is partly chance, so one more span is
    counted whose coverage is nominal: the level is the smallest at which these m + 1 coverages have the mean `level`.
    The weight of that one span suits folds of which half of a deviation returns in the next one. In this repository's
    use cases 0.60 of it does where widths follow from the forecast, in 16 bands of four targets, and 0.20 with the
    widths of trees, in 12 bands of three (least squares; `benchmarks/coverage.py`). With trees no level is therefore
    below the nominal one: it would cover less, and on the reference's folds with no lower interval score. Without them
    no level allows more than twice the nominal share of misses.
    """
    least = max(2.0 * level - 1.0, 0.0) if rows.width is None else level
    low, high = np.full(len(cuts) + 1, least), np.ones(len(cuts) + 1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        coverage = _forward(rows, level, middle, cuts, fold)
        spans = np.isfinite(coverage).sum(axis=0)
        enough = np.nansum(coverage, axis=0) + middle >= level * (spans + 1)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    # The upper end is known to be enough; a band that no later fold could test keeps the nominal level.
    return np.where(spans > 0, high, level)


def _forward(rows: _Rows, level: float, levels: Array, cuts: list[float], fold: npt.NDArray[np.int64]) -> Array:
    """Return the coverage of each later fold in each band by intervals of the earlier folds, NaN for too few rows."""
    numbers = np.unique(fold)[1:]
    coverage = np.full((numbers.size, len(cuts) + 1), np.nan)
    bin_levels = levels[_band_of_bin(rows.edges, cuts)]
    for span, number in enumerate(numbers):
        # As the next span will be predicted: by intervals from earlier folds only.
        past, ahead = rows.take(fold < number), rows.take(fold == number)
        intervals = _fit(past, level, bin_levels, None if rows.last is None else "", (None, None))
        entity = None if ahead.entity is None else ahead.entity.tolist()
        lower, upper = intervals.apply(ahead.last, ahead.prediction, entity, ahead.width)
        covered = (ahead.y >= lower) & (ahead.y <= upper)
        for band in range(len(cuts) + 1):
            keep = _in_band(ahead, cuts, band)
            if keep.sum() >= _FEWEST:
                coverage[span, band] = covered[keep].mean()
    return coverage


def _band_of_bin(edges: Array, cuts: list[float]) -> npt.NDArray[np.intp]:
    """Return the band that contains each bin: no bin crosses the edge of a band."""
    return np.asarray(np.searchsorted(cuts, np.r_[-np.inf, edges], side="right"), dtype=np.intp)


def _in_band(rows: _Rows, cuts: list[float], band: int) -> npt.NDArray[np.bool_]:
    if rows.last is None:
        return np.ones(rows.y.size, dtype=np.bool_)
    return np.asarray(np.isfinite(rows.last) & (np.searchsorted(cuts, rows.last, side="left") == band))


def error_scale(residual: Array, prediction: Array) -> tuple[Array, Array]:
    """Return the mean absolute error at ascending predictions, made monotonic since high forecasts err more."""
    order = np.argsort(prediction, kind="stable")
    parts = [part for part in np.array_split(order, min(_KNOTS, order.size // _FEWEST_AT_A_KNOT or 1)) if part.size]
    knots = np.array([prediction[part].mean() for part in parts])
    # Residuals are divided by the scale, which a stretch without any error would make zero.
    scale = np.maximum.accumulate([max(float(np.abs(residual[part]).mean()), 1e-9) for part in parts])
    # Interpolation needs knots that ascend; equal forecasts give equal knots.
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
    # The lower end is left out, since an edge belongs to the bin below it.
    return int(np.searchsorted(ordered, high, side="right") - np.searchsorted(ordered, low, side="right"))


def _offsets(score: Array, level: float) -> tuple[float, float]:
    """Return the conformal order statistics at both tails, each with half of the misses."""
    ordered = np.sort(score)
    tail = (1.0 - level) / 2.0
    # The ranks are of n + 1, since the row to be covered counts as one of them in split conformal prediction.
    below = max(int(np.floor((ordered.size + 1) * tail)), 1)
    above = min(int(np.ceil((ordered.size + 1) * (1.0 - tail))), ordered.size)
    return _holding(ordered, below - 1, -1), _holding(ordered, above - 1, 1)


def _holding(ordered: Array, place: int, side: int) -> float:
    """Return an order statistic as an offset whose end holds all values that are equal to it.

    Offsets are multiplied by the scale again. Where many values are equal, such as zeros, the rounding of that product
    would leave all of them out.
    """
    value = float(ordered[place])
    tied = np.searchsorted(ordered, value, side="right") - np.searchsorted(ordered, value, side="left") > 1
    return value + side * _ROUNDING * (abs(value) + _ROUNDING) if tied else value
