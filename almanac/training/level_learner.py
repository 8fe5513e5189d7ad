"""Candidates of features that learn the level, or the difference from the last known value."""

from typing import Literal

import numpy as np

from almanac.core.errors import TrainingError
from almanac.model.offset import Offset
from almanac.training.fitted_model import feature_means, full_offset
from almanac.training.problem import TrainingRows
from almanac.usecase.training_section import Learner


class LevelLearner(Learner):
    """A candidate that learns the level, or the difference from the last known value."""

    predict: Literal["level", "difference"] = "level"
    """What the model learns."""


def base(declared: LevelLearner, data: TrainingRows) -> Offset:
    """Return the linear part that the learner builds upon: the last known value, or zero.

    Raises:
        TrainingError: there is no difference for this target or with these features.
    """
    problem = data.problem
    coefficients = np.zeros(len(problem.names))
    if declared.predict == "difference":
        if problem.classification:
            raise TrainingError(
                f"candidate {declared.name}: a classification has no difference from the last known value"
            )
        if problem.last_name is None:
            raise TrainingError(
                f"candidate {declared.name}: a difference needs the newest value of {problem.target.column} as a "
                f"feature (features.items of kind value)"
            )
        # Kept as a linear part, so that a saved model needs no special case for differences.
        coefficients[problem.names.index(problem.last_name)] = 1.0
    return full_offset(0.0, coefficients, feature_means(problem.X, data.rows))
