"""Rules that hold an error of one target against a fixed bound."""

from collections.abc import Iterator
from typing import Any

from almanac.evaluation.gate.check import Check
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.usecase import UseCase
from almanac.usecase.gate_section import GateRuleBase


def fixed_bound(name: str, declaration: type[GateRuleBase], side: int, why: str = "") -> GateRule:
    """Return the rule.

    Args:
        name: the `rule` by which a use case asks for it.
        declaration: its section, with target, metric and value.
        side: +1 if the error must be at least the value, -1 if at most.
        why: appended to the metric in a check's words.
    """

    def problems(rule: Any, usecase: UseCase) -> Iterator[str]:
        if rule.target not in {target.name for target in usecase.targets}:
            yield f"target: no target named {rule.target}"

    def checks(rule: Any, model: Candidate) -> Iterator[Check]:
        # The gate asks each rule about each target, and this one names its own.
        if rule.target == model.target.name:
            yield Check(name, rule.target, rule.metric + why, model.number(rule.metric), rule.value, side)

    return GateRule(name, declaration, checks, problems)
