"""Expanding-window folds, a gap of at least the horizon before each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.common.errors import TrainingError
from components.training.dataset import Problem, training_end
from components.usecase import UseCase
from components.usecase.base import to_microseconds

Rows = npt.NDArray[np.intp]

_FEWEST = 50


@dataclass(frozen=True)
class Fold:
    """One fold: positions of the rows to learn from, and of the rows to judge by."""

    train: Rows
    valid: Rows


def make_folds(usecase: UseCase, problem: Problem) -> list[Fold]:
    """Return the folds, oldest first; together their validation spans end with the training span.

    A row is learned from only if its target was known before the validation span begins.

    Raises:
        TrainingError: a fold has too few rows to learn from or to judge by.
    """
    settings = usecase.training.folds
    length, horizon = to_microseconds(settings.length), to_microseconds(problem.target.horizon)
    end, known = training_end(usecase), problem.known
    folds = []
    for index in range(settings.count):
        start = end - (settings.count - index) * length
        valid = known & (problem.time >= start) & (problem.time < start + length)
        fold = Fold(np.flatnonzero(known & (problem.time < start - horizon)), np.flatnonzero(valid))
        if min(fold.train.size, fold.valid.size) < _FEWEST:
            raise TrainingError(
                f"training.folds: fold {index + 1} of target {problem.target.name} has {fold.train.size} rows to "
                f"learn from and {fold.valid.size} to judge by; fewer or shorter folds would fit the training span"
            )
        folds.append(fold)
    return folds
