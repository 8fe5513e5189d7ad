"""The forecasts of no group of rows may be too high or too low by much, within the limits of its rows."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from almanac.evaluation.gate.check import Check
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.evaluation.gate.rules._groups import degrees, standard_error, unknown_group
from almanac.evaluation.student import student_quantile
from almanac.usecase.gate_section import ChanceRule
from almanac.usecase.types import Name


class MaxBias(ChanceRule):
    """Each group's mean error must be at most this share of its root mean squared error, on either side of zero."""

    rule: Literal["max_bias"]
    group: Name
    """Declared group."""
    share: Annotated[float, Field(ge=0, le=1)]
    """Largest share, to which chance is added."""


def _checks(rule: MaxBias, model: Candidate) -> Iterator[Check]:
    # The mean error of a probability is not measured by a root mean square.
    if model.classification:
        return
    slices = model.entry.get("slices")
    parts: Any = slices.get(rule.group) if isinstance(slices, dict) else None
    fewest = model.number("fewest_rows") or 0.0
    values = [value for value in parts or {} if (model.number("slices", rule.group, value, "n") or 0.0) >= fewest]
    if not values:
        yield Check(rule.rule, model.target.name, f"bias of each {rule.group}", None, rule.share)
    for value in values:
        yield _check(rule, model, value, model.rate / len(values))


def _check(rule: MaxBias, model: Candidate, value: str, rate: float) -> Check:
    bias, rmse = (model.number("slices", rule.group, value, metric) for metric in ("bias", "rmse"))
    error = standard_error(model, rule.group, value, "bias")
    what = f"bias of the {rule.group} {value} as a share of its rmse"
    if bias is None or error is None or not rmse:
        return Check(rule.rule, model.target.name, what, None, rule.share)
    chance = student_quantile(degrees(model), 1.0 - rate / 2) * error / rmse
    return Check(
        rule.rule,
        model.target.name,
        what,
        abs(bias) / rmse,
        rule.share + chance,
        note=f"{bias:+.3g} of {rmse:.3g}; {rule.share:g}, and what chance adds to it in {rate:.2%}",
        evidence={"group": value, "bias": bias, "standard_error": error, "false_refusal_rate": rate},
    )


def _by_chance(_: MaxBias, model: Candidate) -> bool:
    return not model.classification


KIND = GateRule("max_bias", MaxBias, _checks, unknown_group, _by_chance)
