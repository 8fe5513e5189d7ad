"""Candidates of features that learn the level, or the difference from the last known value."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from almanac.core.errors import TrainingError
from almanac.model.offset import Offset
from almanac.training.fitted_model import feature_means, full_offset, score
from almanac.training.problem import TrainingRows
from almanac.usecase.training_section import Learner
from almanac.usecase.types import Name, absent


class LevelLearner(Learner):
    """A candidate that learns the level, or the difference from the last known value."""

    predict: Literal["level", "difference"] = "level"
    """Quantity that the model learns."""
    around: Annotated[Name | None, absent(None)] = None
    """Or a baseline to start from: a feature on the target's scale from which it learns the difference, such as the
    median of the last five. The scale of a classification, for kinds linear and feature, is log-odds (transform
    log_odds)."""

    outliers: Annotated[float | None, Field(gt=0), absent(None)] = None
    """Rows that lie further from that feature, on the target's scale, are not learned from, such as the price of a lot
    among those of single cards. They are judged all the same."""

    @model_validator(mode="after")
    def _from_a_feature(self) -> Self:
        if self.outliers is not None and self.around is None:
            raise ValueError("'outliers' is a distance from a feature; name it by 'around'")
        return self


def usual(declared: LevelLearner, data: TrainingRows) -> TrainingRows:
    """Return the rows that are no outliers; all of them where none are declared.

    Raises:
        TrainingError: there is none, or the target is a classification.
    """
    if declared.outliers is None:
        return data
    if data.problem.classification:
        raise TrainingError(
            f"candidate {declared.name}: outliers: {data.problem.target.name} is a classification, whose classes have "
            "no distance from a feature; leave 'outliers' out"
        )
    distance = np.abs(data.y - score(base(declared, data), data.problem.X, data.rows))
    rows = data.rows[distance <= declared.outliers]
    if not rows.size:
        raise TrainingError(
            f"candidate {declared.name}: outliers: every row is further than {declared.outliers:g} away"
        )
    return TrainingRows(data.problem, rows)


def base(declared: LevelLearner, data: TrainingRows, odds: bool = False) -> Offset:
    """Return the linear part that the learner builds upon: the last known value, on the target's scale, or zero.

    Args:
        declared: the candidate.
        data: the training rows.
        odds: whether the learner can start a classification from log-odds.

    Raises:
        TrainingError: there is no difference for this target or with these features.
    """
    problem = data.problem
    coefficients = np.zeros(len(problem.names))
    if declared.around is not None:
        if declared.around not in problem.names:
            raise TrainingError(
                f"candidate {declared.name}: around: there is no feature {declared.around}; see features.items"
            )
        if problem.classification and not odds:
            raise TrainingError(
                f"candidate {declared.name}: around: {problem.target.name} is a classification, which kind "
                f"{declared.kind} starts from no feature; kind linear does, from a feature in log-odds"
            )
        coefficients[problem.names.index(declared.around)] = 1.0
    elif declared.predict == "difference":
        if problem.classification:
            raise TrainingError(
                f"candidate {declared.name}: a classification has no difference from the last known value"
            )
        log = problem.target.scale == "log"
        name = f"{problem.target.column}_log" if log else problem.last_name
        if log and name not in problem.names:
            raise TrainingError(
                f"candidate {declared.name}: a difference on scale log needs the feature {name} (features.items of "
                f"kind transform, function log of {problem.target.column})"
            )
        if name is None:
            raise TrainingError(
                f"candidate {declared.name}: a difference needs the newest value of {problem.target.column} as a "
                f"feature (features.items of kind value)"
            )
        # Kept as a linear part, so that a saved model needs no special case for differences.
        coefficients[problem.names.index(name)] = 1.0
    return full_offset(0.0, coefficients, feature_means(problem.X, data.rows))


def shifted(linear: Offset, constant: float) -> Offset:
    """Return a linear part plus a constant."""
    return linear.plus(Offset(constant, linear.columns, np.zeros(len(linear.columns)), linear.fill, linear.means))
