"""Expanding-window folds, a gap of at least the horizon before each."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from almanac.core.arrays import Array, Integers
from almanac.core.errors import TrainingError
from almanac.features.split import Span, folds, train_test
from almanac.features.target_encoding import block_starts
from almanac.training.problem import Problem, Rows
from almanac.usecase import UseCase
from almanac.usecase.fold_lengths import FEWEST_JUDGED, FEWEST_LEARNED, fold_length
from almanac.usecase.types import to_microseconds

#: Fewest known rows: what a use case must leave room for, less those that may be missing.
_LEARNED, _JUDGED = FEWEST_LEARNED // 2, FEWEST_JUDGED // 2


@dataclass(frozen=True)
class Fold:
    """Positions of the training and of the validation rows of one fold."""

    train: Rows
    valid: Rows


def make_folds(usecase: UseCase, problem: Problem) -> list[Fold]:
    """Return the folds, oldest first; together their validation spans end with the training span.

    A row is trained on only if its target was known before the validation span begins.

    Raises:
        TrainingError: a fold has too few training or validation rows, or training rows of only one class.
    """
    count, horizon = usecase.training.folds.count, to_microseconds(problem.target.horizon)
    result = []
    span, _ = train_test(usecase, problem.time)
    # The gap is the target's horizon: a truth of the validation span must not be a training label. Of events it is no
    # shorter than `events.known_after`, which a rule of the use case makes sure of.
    spans = folds(span, count, _length(usecase, problem.time, span), horizon, usecase.time.grid)
    for number, pair in enumerate(spans, start=1):
        fold = Fold(*(np.flatnonzero(problem.known & span.rows(problem.time)) for span in pair))
        if fold.train.size < _LEARNED or fold.valid.size < _JUDGED:
            raise TrainingError(
                f"training.folds: fold {number} of target {problem.target.name} has {fold.train.size} rows to "
                f"learn from and {fold.valid.size} to judge by; expected at least {_LEARNED} and "
                f"{_JUDGED}, which fewer or shorter folds or a longer training span would have"
            )
        if problem.classification and len(np.unique(problem.y[fold.train])) < 2:
            raise TrainingError(
                f"targets.{problem.target.name}.above: in fold {number} all rows to learn from lie on one side of "
                f"{problem.target.above:g}; another threshold, or fewer or longer folds, would have both"
            )
        result.append(fold)
    return result


def fold_weights(folds: list[Fold]) -> Array:
    """Return the weight of each fold's loss, shape (k,): its training rows over all, as shares that add up to one.

    The model that goes to production learns from the whole training span, so a fold speaks for it as far as its own
    span is as long. With expanding folds the newest counts most; with sliding ones all count the same.
    """
    learned = np.array([fold.train.size for fold in folds], dtype=np.float64)
    return np.asarray(learned / learned.sum())


def block_edges(usecase: UseCase, time: Integers) -> list[int]:
    """Return the first moments of the blocks of rows that are given the mean of a target by the rows before.

    Args:
        usecase: the use case.
        time: prediction time of each row, µs since the epoch, shape (n,).
    """
    span, _ = train_test(usecase, time)
    judged = folds(span, usecase.training.folds.count, _length(usecase, time, span), 0, usecase.time.grid)
    return block_starts(_first(time, span), [int(valid.start or 0) for _, valid in judged])


def _first(time: Integers, span: Span) -> int:
    first = int(time.min())
    return first if span.start is None else max(first, span.start)


def _length(usecase: UseCase, time: Integers, span: Span) -> int:
    """Return the length of the folds in µs; of an open span that of its data counts."""
    start = _first(time, span)
    window = timedelta(microseconds=int(span.stop or 0) - start)
    return fold_length(usecase, window) // timedelta(microseconds=1)
