"""The errors of the groups must not lie too far apart."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from almanac.evaluation.gate.check import Check, number
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.usecase import UseCase
from almanac.usecase.training_section import GateRuleBase
from almanac.usecase.types import Name


class MaxDisparity(GateRuleBase):
    """The worst group's error over the best group's must not exceed this."""

    rule: Literal["max_disparity"]
    group: Name
    """Declared group."""
    metric: Literal["rmse", "mae"] = "mae"
    """Error."""
    ratio: Annotated[float, Field(ge=1)]
    """Largest ratio."""


def _problems(rule: MaxDisparity, usecase: UseCase) -> Iterator[str]:
    groups = sorted(group.name for group in usecase.evaluation.groups)
    if rule.group not in groups:
        yield f"group: no group named {rule.group}; known: {', '.join(groups)}"


def _checks(rule: MaxDisparity, model: Candidate) -> Iterator[Check]:
    # A probability has neither of the two errors.
    if model.classification:
        return
    observed = number(model.entry, "disparity", rule.group, rule.metric, "ratio")
    what = f"{rule.metric} of the worst {rule.group} over the best"
    yield Check(rule.rule, model.target.name, what, observed, rule.ratio)


KIND = GateRule("max_disparity", MaxDisparity, _checks, _problems)
