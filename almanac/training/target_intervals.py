"""The intervals of one target: calibrated on the folds, with the scale that does better on later folds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array, Mask
from almanac.model.intervals import Intervals
from almanac.training.bounds import clip_of
from almanac.training.calibration import calibrate, error_scale
from almanac.training.interval_width import FLOOR, row_widths, width_model
from almanac.training.problem import Problem, Rows
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
        width: trees that give a row's relative width, as LightGBM's text; None without.
    """

    intervals: Intervals
    lower: Array
    upper: Array
    width: bytes | None = None


def target_intervals(
    usecase: UseCase, selection: Selection, prediction: Array, rows: Rows, entity: Sequence[str] | None
) -> TargetIntervals:
    """Return the intervals of a regression, calibrated on the rows of its folds.

    Where `training.intervals.width` is `trees`, trees of the residuals give each row a width of its own, provided that
    the interval score of the folds after the first, by trees and intervals of the folds before them, is lower by
    `_GAIN` at least. Otherwise the width follows from the forecast alone.

    Args:
        usecase: the use case.
        selection: the target's folds and chosen model.
        prediction: out-of-fold forecasts, shape (n,).
        rows: positions of their rows, fold by fold, shape (n,).
        entity: entity of each row; None for intervals that are the same for all.
    """
    settings, problem = usecase.training, selection.problem
    fold = np.concatenate([np.full(f.valid.size, k) for k, f in enumerate(selection.folds)])
    table = FoldRows(usecase, problem, rows, prediction, fold, entity)
    every = np.ones(rows.size, dtype=np.bool_)
    plain = table.calibrated(every, None)
    learn = settings.intervals.width == "trees"
    if not learn or table.score(trees=True) > (1.0 - _GAIN) * table.score(trees=False):
        return TargetIntervals(plain, *table.ends(plain, every, None))
    widths = table.widths(every)
    learned = table.calibrated(every, widths)
    trees = width_model(problem, rows, table.errors(every), settings.seed)
    return TargetIntervals(replace(learned, floor=FLOOR), *table.ends(learned, every, widths), trees)


@dataclass(frozen=True)
class FoldRows:
    """The out-of-fold rows of a regression.

    Attributes:
        usecase: the use case.
        problem: the learning problem.
        rows: positions of the rows, fold by fold, shape (n,).
        prediction: their forecasts, shape (n,).
        fold: number of each row's fold, oldest first, shape (n,).
        entity: entity of each row; None for intervals that are the same for all.
    """

    usecase: UseCase
    problem: Problem
    rows: Rows
    prediction: Array
    fold: npt.NDArray[np.int64]
    entity: Sequence[str] | None = None

    @cached_property
    def y(self) -> Array:
        """The truth, shape (n,)."""
        return self.problem.truth[self.rows]

    @cached_property
    def last(self) -> Array | None:
        """The last known value, shape (n,), NaN where it was imputed; None where no feature holds it."""
        return self.problem.last_read(self.rows)

    def calibrated(self, keep: Mask, widths: Array | None) -> Intervals:
        """Return the intervals of some of the rows."""
        settings, problem = self.usecase.training.intervals, self.problem
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

    def errors(self, keep: Mask) -> Array:
        """Return the size of each residual over the usual one of the rows `keep` at the height of its forecast."""
        residual = self.y - self.prediction
        knots, scale = error_scale(residual[keep], self.prediction[keep])
        return np.asarray(np.abs(residual) / np.interp(self.prediction, knots, scale))

    def widths(self, keep: Mask) -> Array:
        """Return the relative width of each row, by trees that learn from the rows `keep`; shape (n,)."""
        seed = self.usecase.training.seed
        # One more than the folds, since the first alone must leave rows to learn from.
        spans = np.unique(self.fold[keep]).size + 1
        return row_widths(self.problem, self.rows, self.errors(keep), keep, spans, seed)

    def score(self, trees: bool) -> float:
        """Return the mean interval score of the folds after the first, by trees and intervals of the folds before them.

        It is the width plus 2/α times the distance of a value outside, α = 1 - level (Gneiting and Raftery, 2007,
        doi:10.1198/016214506000001437).
        """
        total, count = 0.0, 0
        for number in np.unique(self.fold)[1:]:
            ahead = self.fold == number
            past = self.fold < number
            widths = self.widths(past) if trees else None
            intervals = self.calibrated(past, widths)
            lower, upper = self.ends(intervals, ahead, widths)
            outside = np.maximum(lower - self.y[ahead], 0.0) + np.maximum(self.y[ahead] - upper, 0.0)
            total += float((upper - lower + 2.0 / (1.0 - intervals.nominal) * outside).sum())
            count += int(ahead.sum())
        return total / count

    def ends(self, intervals: Intervals, keep: Mask, widths: Array | None) -> tuple[Array, Array]:
        """Return both ends of the intervals of some of the rows."""
        last = None if self.last is None or intervals.by is None else self.last[keep]
        width = None if widths is None else widths[keep]
        return intervals.apply(last, self.prediction[keep], self._entities(keep), width)

    def _entities(self, keep: Mask) -> list[str] | None:
        return None if self.entity is None else [self.entity[int(at)] for at in np.flatnonzero(keep)]
