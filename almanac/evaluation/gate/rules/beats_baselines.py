"""The model must beat every baseline."""

from collections.abc import Iterator
from typing import Any, Literal

from almanac.evaluation.gate.check import Check, number
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.usecase.training_section import GateRuleBase

_BASELINES = ("persistence", "seasonal")


class BeatsBaselines(GateRuleBase):
    """The error's skill against every baseline must be above zero with its whole interval."""

    rule: Literal["beats_baselines"]
    metric: Literal["rmse", "mae", "log_loss"] = "rmse"
    """Error."""


def _checks(rule: BeatsBaselines, model: Candidate) -> Iterator[Check]:
    metric = model.error(rule.metric)
    for name in _BASELINES:
        low = _low(model.entry.get("skill"), name, metric)
        what = f"lower end of the {metric} skill against {name}"
        yield Check(rule.rule, model.target.name, what, low, 0.0, side=1, strict=True)


def _low(skills: Any, baseline: str, metric: str) -> float | None:
    try:
        low, _ = skills[baseline]["cis"][metric]
    # An interval that is missing or of another form closes the gate.
    except (KeyError, TypeError, ValueError):
        return None
    return number({"low": low}, "low")


KIND = GateRule("beats_baselines", BeatsBaselines, _checks)
