"""The model must beat the best baseline, and so every one."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from almanac.evaluation.bootstrap import CONFIDENCE
from almanac.evaluation.gate.check import Check
from almanac.evaluation.gate.rules import Candidate, GateRule, Rate
from almanac.evaluation.paired import compare, losses
from almanac.evaluation.student import student_quantile
from almanac.features.baselines import baseline_names, best_of
from almanac.usecase.training_section import GateRuleBase
from almanac.usecase.types import Name


class BeatsBaselines(GateRuleBase):
    """The error's skill against the best baseline must be above zero with its whole interval.

    Rows that are too few to show the registered model's own skill refuse no model as good as that one. A first version
    has none to be as good as, and must show its skill: an open gate would serve a model that may be worse than the
    baseline, and a closed one costs a longer test span (`split`).
    """

    rule: Literal["beats_baselines"]
    metric: Literal["rmse", "mae", "log_loss"] = "rmse"
    """Error."""
    without: Annotated[list[Name], Field(exclude_if=lambda without: not without)] = []
    """Baselines that need not be beaten, and are reported all the same, such as a market's price."""
    false_refusals: Rate = 0.005
    """Chance that a model with the registered model's skill is refused by any target."""


def _checks(rule: BeatsBaselines, model: Candidate) -> Iterator[Check]:
    metric = model.error(rule.metric)
    for name in _strongest(rule, model, metric):
        ends = model.interval("skill", name, "cis", metric)
        what = f"lower end of the {metric} skill against {name}"
        low, high = (None, None) if ends is None else ends
        note = ""
        # Only where the skill is neither shown nor refuted can the rows be too few.
        if low is not None and high is not None and low <= 0 < high:
            if why := _too_few(rule, model, metric, name):
                yield Check(rule.rule, model.target.name, what, None, None, vacuous=why)
                continue
            note = _not_shown(model, metric, name, low)
        yield Check(rule.rule, model.target.name, what, low, 0.0, side=1, strict=True, note=note)


def _not_shown(model: Candidate, metric: str, name: str, low: float) -> str:
    """Return the skill that the rows would have shown, for whoever asks whether model or rows are too weak."""
    skill = model.number("skill", name, metric)
    if skill is None:
        return ""
    return f"the skill of {skill:.1%} is neither shown nor refuted; these rows show one of about {skill - low:.1%}"


def _strongest(rule: BeatsBaselines, model: Candidate, metric: str) -> tuple[str, ...]:
    """Return the baseline with the smallest error on the rows where all have a forecast; all of them without rows."""
    rows = model.rows
    names = tuple(name for name in baseline_names(model.usecase, model.target) if name not in rule.without)
    present = [] if rows is None else [name for name in names if name in rows.baselines]
    if rows is None or not present:
        return names
    common = np.all([np.isfinite(rows.baselines[name]) for name in present], axis=0)
    if not common.any():
        return tuple(present)
    errors = {}
    for name in present:
        loss, power = losses(metric, rows.y[common], rows.baselines[name][common])
        errors[name] = float(loss.mean() ** power)
    return (best_of(errors),)


def _too_few(rule: BeatsBaselines, model: Candidate, metric: str, name: str) -> str | None:
    """Return why these rows are too few to refuse the registered model's skill but by chance; None if they are not."""
    rows = model.rows
    if rows is None or rows.registered is None or model.registered is None:
        return None
    both = np.isfinite(rows.registered) & np.isfinite(rows.baselines[name])
    if not both.any():
        return None
    skill = compare(metric, rows.clock.at(both), rows.y[both], rows.registered[both], rows.baselines[name][both])
    rate = rule.false_refusals / len(model.usecase.targets)
    # It is shown where it is so many standard errors above zero, and chance takes as many away at this rate.
    needed = (
        skill.quantile(1.0 - (1.0 - CONFIDENCE) / 2) + student_quantile(1e9, 1.0 - rate) if skill.enough else np.inf
    )
    if -skill.log_ratio >= needed * skill.standard_error:
        return None
    return (
        f"not shown, but {int(both.sum()):,} rows are too few: they would refuse the skill of "
        f"{-np.expm1(skill.log_ratio):.1%} that version {model.registered.version} has on them in more than {rate:.2%}"
    )


KIND = GateRule("beats_baselines", BeatsBaselines, _checks)
