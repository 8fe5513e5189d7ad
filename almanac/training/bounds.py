"""Bounds of a target's forecasts."""

from almanac.training.problem import Problem
from almanac.usecase import UseCase


def clip_of(usecase: UseCase, problem: Problem) -> tuple[float | None, float | None]:
    """Return the bounds of a forecast, which are those that the use case declares for the column."""
    if problem.classification:
        return (None, None)
    column = usecase.columns[problem.target.column]
    return (column.min, column.max)
