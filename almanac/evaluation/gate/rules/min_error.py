"""The error of a target must not be smaller than anyone's: a smaller one is a sign of a leak."""

from collections.abc import Iterator
from typing import Literal

from almanac.evaluation.gate.check import Check, number
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.usecase import UseCase
from almanac.usecase.training_section import GateRuleBase
from almanac.usecase.types import Name


class MinError(GateRuleBase):
    """The error must not be below this figure: it could only be so small if the outcome were among the features."""

    rule: Literal["min_error"]
    target: Name
    """Target."""
    metric: Literal["rmse", "mae", "log_loss"] = "rmse"
    """Error."""
    value: float
    """Smallest."""


def _problems(rule: MinError, usecase: UseCase) -> Iterator[str]:
    if rule.target not in {target.name for target in usecase.targets}:
        yield f"target: no target named {rule.target}"


def _checks(rule: MinError, model: Candidate) -> Iterator[Check]:
    # The gate asks each rule about each target, and this one names its own.
    if rule.target == model.target.name:
        what = f"{rule.metric}, below which a leak is suspected"
        yield Check(rule.rule, rule.target, what, number(model.entry, rule.metric), rule.value, side=1)


KIND = GateRule("min_error", MinError, _checks, _problems)
