"""The chance that the gate refuses a good model, shared by the checks that can."""

from collections.abc import Sequence
from dataclasses import dataclass

from almanac.evaluation.gate.rules import Candidate
from almanac.usecase.gate_section import FALSE_REFUSALS, GATE_RULES, ChanceRule, GateRuleBase


@dataclass(frozen=True)
class Rates:
    """Rates of false refusals.

    Attributes:
        rules: of each rule of the use case for one target, in order; 0 for a rule that refuses nothing by chance.
        sound: of what every gate checks, for one target.
        total: of the whole gate: at most the sum of all checks', by Bonferroni's inequality.
    """

    rules: tuple[float, ...]
    sound: float
    total: float


def share(rules: Sequence[GateRuleBase], models: Sequence[Candidate]) -> Rates:
    """Divide `FALSE_REFUSALS`: rules that declare no rate of their own have equal parts, as have a rule's targets.

    Args:
        rules: the use case's rules.
        models: the new model of each target.
    """
    targets = [_targets(rule, models) for rule in rules]
    # A probability may be refused by chance where the registered model has shown it.
    sound = sum(not model.classification or model.registered is not None for model in models)
    declared = [rule.false_refusals if isinstance(rule, ChanceRule) else 0.0 for rule in rules]
    fixed = sum(rate for rate, count in zip(declared, targets, strict=True) if rate and count)
    undeclared = sum(rate is None and count > 0 for rate, count in zip(declared, targets, strict=True))
    part = (FALSE_REFUSALS - fixed) / max(undeclared + (sound > 0), 1)
    parts = [(part if rate is None else rate) if count else 0.0 for rate, count in zip(declared, targets, strict=True)]
    each = tuple(rate / max(count, 1) for rate, count in zip(parts, targets, strict=True))
    return Rates(each, part / sound if sound else 0.0, sum(parts) + (part if sound else 0.0))


def _targets(rule: GateRuleBase, models: Sequence[Candidate]) -> int:
    """Return the number of targets whose model a rule can refuse by chance."""
    by_chance = GATE_RULES[rule.rule].by_chance
    return 0 if by_chance is None else sum(by_chance(rule, model) for model in models)
