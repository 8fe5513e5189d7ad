"""The model must not be worse than the one in production."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from almanac.evaluation.gate.check import Check, number
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.usecase.training_section import GateRuleBase


class NotWorse(GateRuleBase):
    """The error must not exceed the registered model's by more than the tolerance."""

    rule: Literal["not_worse_than_registered"]
    metric: Literal["rmse", "mae", "log_loss"] = "rmse"
    """Error."""
    tolerance: Annotated[float, Field(ge=0)] = 0.02
    """Relative."""


def _checks(rule: NotWorse, model: Candidate) -> Iterator[Check]:
    metric, target = model.error(rule.metric), model.target.name
    what = f"{metric} beside the registered model's"
    if model.registered is None:
        yield Check(rule.rule, target, what, None, None, vacuous="no model is registered yet")
        return
    targets = model.registered.get("targets")
    # A new target must not fail for want of a predecessor; a damaged file must.
    if isinstance(targets, Mapping) and targets and target not in targets:
        yield Check(rule.rule, target, what, None, None, vacuous="the registered model has no such target")
        return
    bound = number(model.entry_of(model.registered), metric)
    required = None if bound is None else bound * (1.0 + rule.tolerance)
    yield Check(rule.rule, target, what, number(model.entry, metric), required)


KIND = GateRule("not_worse_than_registered", NotWorse, _checks)
