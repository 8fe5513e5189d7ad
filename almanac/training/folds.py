"""Expanding-window folds, a gap of at least the horizon before each."""

from dataclasses import dataclass

import numpy as np

from almanac.core.errors import TrainingError
from almanac.features.split import folds, train_test
from almanac.training.problem import Problem, Rows
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

_MIN_ROWS = 50


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
    settings, horizon = usecase.training.folds, to_microseconds(problem.target.horizon)
    result = []
    # The gap is the target's horizon: a truth of the validation span must not be a training label.
    spans = folds(train_test(usecase)[0], settings.count, settings.length, horizon)
    for number, pair in enumerate(spans, start=1):
        fold = Fold(*(np.flatnonzero(problem.known & span.rows(problem.time)) for span in pair))
        if min(fold.train.size, fold.valid.size) < _MIN_ROWS:
            raise TrainingError(
                f"training.folds: fold {number} of target {problem.target.name} has {fold.train.size} rows to "
                f"learn from and {fold.valid.size} to judge by; fewer or shorter folds would fit the training span"
            )
        if problem.classification and len(np.unique(problem.y[fold.train])) < 2:
            raise TrainingError(
                f"targets.{problem.target.name}.above: in fold {number} all rows to learn from lie on one side of "
                f"{problem.target.above:g}; another threshold, or fewer or longer folds, would have both"
            )
        result.append(fold)
    return result
