"""The error of a target must not exceed a fixed bound."""

from collections.abc import Iterator
from typing import Literal

from almanac.evaluation.gate.check import Check, number
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.usecase import UseCase
from almanac.usecase.training_section import GateRuleBase
from almanac.usecase.types import Name


class MaxError(GateRuleBase):
    """The error must not exceed this figure."""

    rule: Literal["max_error"]
    target: Name
    """Target."""
    metric: Literal["rmse", "mae", "log_loss", "ece", "mdape", "mae_log"] = "rmse"
    """Error."""
    value: float
    """Largest."""


def _problems(rule: MaxError, usecase: UseCase) -> Iterator[str]:
    if rule.target not in {target.name for target in usecase.targets}:
        yield f"target: no target named {rule.target}"


def _checks(rule: MaxError, model: Candidate) -> Iterator[Check]:
    # The gate asks each rule about each target, and this one names its own.
    if rule.target == model.target.name:
        yield Check(rule.rule, rule.target, rule.metric, number(model.entry, rule.metric), rule.value)


KIND = GateRule("max_error", MaxError, _checks, _problems)
