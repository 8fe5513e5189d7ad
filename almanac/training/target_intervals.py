"""The intervals of one target: calibrated on the folds, with the scale that does better on later folds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from almanac.model.intervals import Intervals
from almanac.training.bounds import clip_of
from almanac.training.calibration import calibrate
from almanac.training.interval_width import fold_widths, width_model
from almanac.training.problem import Array, Rows
from almanac.training.selection import Selection
from almanac.usecase import UseCase

#: Share by which trees must lower the interval score, since they are read and walked for each row beside the model.
_GAIN = 0.005


@dataclass(frozen=True)
class TargetIntervals:
    """The intervals of one target.

    Attributes:
        intervals: calibrated offsets.
        lower: lower ends of the out-of-fold forecasts, shape (n,).
        upper: upper ends, shape (n,).
        width: trees that give a row's width, as LightGBM's text; None where it follows from the forecast.
    """

    intervals: Intervals
    lower: Array
    upper: Array
    width: bytes | None = None


def target_intervals(
    usecase: UseCase, selection: Selection, prediction: Array, rows: Rows, entity: Sequence[str] | None
) -> TargetIntervals:
    """Return the intervals of a regression, calibrated on the rows of its folds.

    Where `training.intervals.width` is `trees`, two boosters of quantiles give each row a width of its own, provided
    that the interval score of the folds after the first, by intervals of the folds before them, is lower by `_GAIN` at
    least. Otherwise the width follows from the forecast.

    Args:
        usecase: the use case.
        selection: the target's folds and chosen model.
        prediction: out-of-fold forecasts, shape (n,).
        rows: positions of their rows, fold by fold, shape (n,).
        entity: entity of each row; None for intervals that are the same for all.
    """
    settings, problem = usecase.training, selection.problem
    fold = np.concatenate([np.full(f.valid.size, k) for k, f in enumerate(selection.folds)])
    table = _Table(usecase, selection, problem.truth[rows], prediction, problem.last_read(rows), fold, entity)
    every = np.ones(rows.size, dtype=np.bool_)
    plain = table.calibrated(every, None)
    if settings.intervals.width != "trees":
        return TargetIntervals(plain, *table.ends(plain, every, None))
    widths = fold_widths(problem, selection.folds, settings.intervals.level, settings.seed)
    if table.score(widths.values) > (1.0 - _GAIN) * table.score(None):
        return TargetIntervals(plain, *table.ends(plain, every, None))
    learned = table.calibrated(every, widths.values)
    trees = width_model(problem, settings.intervals.level, settings.seed)
    ends = table.ends(learned, every, widths.values)
    return TargetIntervals(replace(learned, floor=widths.floor), *ends, trees)


@dataclass(frozen=True)
class _Table:
    """Out-of-fold rows."""

    usecase: UseCase
    selection: Selection
    y: Array
    prediction: Array
    last: Array | None
    fold: npt.NDArray[np.int64]
    entity: Sequence[str] | None

    def calibrated(self, keep: npt.NDArray[np.bool_], widths: Array | None) -> Intervals:
        """Return the intervals of some of the rows."""
        settings, problem = self.usecase.training.intervals, self.selection.problem
        intervals = calibrate(
            self.y[keep],
            self.prediction[keep],
            None if self.last is None else self.last[keep],
            level=settings.level,
            bins=settings.bins,
            by=problem.last_name,
            edges=self.usecase.evaluation.bands.edges,
            fold=self.fold[keep],
            clip=clip_of(self.usecase, problem),
            entity=self._entities(keep),
            width=None if widths is None else widths[keep],
        )
        return intervals if intervals.by is None else replace(intervals, age=problem.age_name)

    def score(self, widths: Array | None) -> float:
        """Return the mean interval score of the folds after the first, by intervals of the folds before them.

        It is the width plus 2/α times the distance of a value outside, α = 1 - level (Gneiting and Raftery, 2007,
        doi:10.1198/016214506000001437).
        """
        total, count = 0.0, 0
        for number in np.unique(self.fold)[1:]:
            ahead = self.fold == number
            intervals = self.calibrated(self.fold < number, widths)
            lower, upper = self.ends(intervals, ahead, widths)
            outside = np.maximum(lower - self.y[ahead], 0.0) + np.maximum(self.y[ahead] - upper, 0.0)
            total += float((upper - lower + 2.0 / (1.0 - intervals.nominal) * outside).sum())
            count += int(ahead.sum())
        return total / count

    def ends(self, intervals: Intervals, keep: npt.NDArray[np.bool_], widths: Array | None) -> tuple[Array, Array]:
        """Return both ends of the intervals of some of the rows."""
        last = None if self.last is None or intervals.by is None else self.last[keep]
        width = None if widths is None else widths[keep]
        return intervals.apply(last, self.prediction[keep], self._entities(keep), width)

    def _entities(self, keep: npt.NDArray[np.bool_]) -> list[str] | None:
        return None if self.entity is None else [self.entity[int(at)] for at in np.flatnonzero(keep)]
