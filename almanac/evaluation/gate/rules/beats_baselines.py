"""The model must beat the best baseline, and so every one, within the limits of its rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from almanac.core.arrays import Array
from almanac.evaluation.bootstrap import CONFIDENCE
from almanac.evaluation.gate.check import Check
from almanac.evaluation.gate.evidence import JudgedRows
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.evaluation.paired import PairedLosses, compare, losses
from almanac.evaluation.student import noncentrality, student_quantile
from almanac.features.baselines import baseline_names, best_of
from almanac.usecase.gate_section import ChanceRule
from almanac.usecase.types import Name, absent

#: Chance that a model without any skill passes.
_UNSHOWN = (1.0 - CONFIDENCE) / 2


class BeatsBaselines(ChanceRule):
    """The error's skill against the best baseline must be shown to be above zero.

    Rows that are too few to show the skill that the registered model has on them refuse only a model that is shown to
    be worse than the baseline. A first version is given the same where its skill before the test span, out of fold, is
    beyond doubt; without that an open gate could serve a model that is worse than the baseline.
    """

    rule: Literal["beats_baselines"]
    metric: Literal["rmse", "mae", "mae_log", "log_loss"] = "rmse"
    """Error."""
    without: Annotated[list[Name], absent([])] = []
    """Baselines that need not be beaten, and are reported all the same, such as a market's price."""


@dataclass(frozen=True)
class _KnownSkill:
    """Evidence of skill besides that of the test rows.

    Attributes:
        size: logarithm of the baseline's error over the model's.
        whose: whose it is, in words.
    """

    size: float
    whose: str


def _checks(rule: BeatsBaselines, model: Candidate) -> Iterator[Check]:
    metric = model.error(rule.metric)
    for name in _strongest(rule, model, metric):
        what = f"lower bound of the {metric} skill against {name}"
        pair = None if model.rows is None else _pair(metric, model.rows, model.rows.prediction, name)
        # A model whose own figure is missing was judged on nothing, whatever its rows say.
        if pair is None or model.number("skill", name, metric) is None:
            yield Check(rule.rule, model.target.name, what, None, 0.0, side=1, strict=True)
        else:
            yield _check(rule, model, metric, name, what, pair)


def _check(rule: BeatsBaselines, model: Candidate, metric: str, name: str, what: str, pair: PairedLosses) -> Check:
    # Of a model that repeats the baseline 0 and not -0, which nobody would read as nothing.
    rate, shown, refuted = model.rate, 0.0 - pair.at_most(_UNSHOWN), pair.at_least(model.rate) > 0
    known = _known(model, metric, name)
    # So many standard errors are found in all but this share of the cases.
    needed = noncentrality(pair.degrees, pair.quantile(1.0 - _UNSHOWN), 1.0 - rate) * pair.standard_error
    skill, shows = 0.0 - float(np.expm1(pair.log_ratio)), 0.0 - float(np.expm1(-needed))
    vacuous = None
    if not shown > 0 and not refuted and known is not None and known.size < needed:
        vacuous = (
            f"not shown, but {pair.ours.size:,} rows are too few: the skill is {skill:.1%}, and they would refuse that "
            f"of {-np.expm1(-known.size):.1%} that {known.whose} in more than {rate:.2%}"
        )
    return Check(
        rule.rule,
        model.target.name,
        what,
        shown,
        0.0,
        side=1,
        strict=True,
        vacuous=vacuous,
        note=f"the skill is {skill:.1%}, and these rows show one of {shows:.1%} in {1.0 - rate:.2%}; a model without "
        f"skill passes in {_UNSHOWN:.1%}",
        evidence={
            "baseline": name,
            "rows": pair.ours.size,
            "periods": pair.log_ratios.size,
            "skill": skill,
            "standard_error": pair.standard_error,
            "false_refusal_rate": rate,
            "known_skill": None if known is None else float(-np.expm1(-known.size)),
            "detectable_skill": shows,
        },
    )


def _pair(metric: str, rows: JudgedRows, forecast: Array, name: str) -> PairedLosses | None:
    """Return the losses of a forecast and of a baseline where both are; None if there are too few rows."""
    if name not in rows.baselines:
        return None
    both = np.isfinite(forecast) & np.isfinite(rows.baselines[name])
    if not both.any():
        return None
    pair = compare(metric, rows.clock.at(both), rows.y[both], forecast[both], rows.baselines[name][both])
    return pair if pair.enough else None


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


def _known(model: Candidate, metric: str, name: str) -> _KnownSkill | None:
    """Return the registered model's skill on the same rows, or the new one's before the test span."""
    rows = model.rows
    if rows is not None and rows.registered is not None and model.registered is not None:
        pair = _pair(metric, rows, rows.registered, name)
        return None if pair is None else _KnownSkill(-pair.typical, f"version {model.registered.version} has on them")
    at = ("out_of_fold", "skill", name, metric)
    size, error, periods = (model.number(*at, field) for field in ("log_ratio", "standard_error", "periods"))
    if size is None or error is None or periods is None:
        return None
    # Shown beyond doubt, since a model without skill would need that alone to pass.
    shown = -size - student_quantile(periods - 1, 1.0 - model.rate) * error > 0
    return _KnownSkill(-size, "the model has out of fold") if shown else None


def _by_chance(_: BeatsBaselines, __: Candidate) -> bool:
    return True


KIND = GateRule("beats_baselines", BeatsBaselines, _checks, by_chance=_by_chance)
