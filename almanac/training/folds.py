"""Expanding-window folds, a gap of at least the horizon before each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from almanac.core.errors import TrainingError
from almanac.features.split import folds, train_test
from almanac.training.dataset import Problem
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

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
        TrainingError: a fold has too few rows to learn from or to judge by, or learns from one class alone.
    """
    settings, horizon = usecase.training.folds, to_microseconds(problem.target.horizon)
    made = []
    for index, (learn, judge) in enumerate(folds(train_test(usecase)[0], settings.count, settings.length, horizon)):
        fold = Fold(*(np.flatnonzero(problem.known & span.rows(problem.time)) for span in (learn, judge)))
        if min(fold.train.size, fold.valid.size) < _FEWEST:
            raise TrainingError(
                f"training.folds: fold {index + 1} of target {problem.target.name} has {fold.train.size} rows to "
                f"learn from and {fold.valid.size} to judge by; fewer or shorter folds would fit the training span"
            )
        if problem.classification and len(np.unique(problem.y[fold.train])) < 2:
            raise TrainingError(
                f"targets.{problem.target.name}.above: in fold {index + 1} all rows to learn from lie on one side of "
                f"{problem.target.above:g}; another threshold, or fewer or longer folds, would have both"
            )
        made.append(fold)
    return made
