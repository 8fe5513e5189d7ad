"""Declared groups of rows, and the errors of their metrics."""

from collections.abc import Iterator
from typing import Any

from almanac.evaluation.bootstrap import STANDARD_ERRORS
from almanac.evaluation.gate.rules import Candidate
from almanac.usecase import UseCase


def unknown_group(rule: Any, usecase: UseCase) -> Iterator[str]:
    """Yield the problem of a rule whose `group` names one without a declaration."""
    groups = sorted(group.name for group in usecase.evaluation.groups)
    if rule.group not in groups:
        yield f"group: no group named {rule.group}; known: {', '.join(groups)}"


def standard_error(model: Candidate, group: str, value: str, metric: str) -> float | None:
    """Return the standard error of a group's metric, from its bootstrap interval; None if that is missing."""
    ends = model.interval("slices", group, value, "ci", metric)
    return None if ends is None else (ends[1] - ends[0]) / STANDARD_ERRORS


def degrees(model: Candidate) -> float:
    """Return the degrees of freedom of such an error.

    A bootstrap has no more to draw from than the span has periods.
    """
    return 1e9 if model.rows is None else int(model.rows.clock.periods.max())
