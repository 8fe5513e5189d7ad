"""The errors of the groups must not differ too much, within the limits of their rows."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from almanac.evaluation.gate.check import Check
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.evaluation.gate.rules._groups import degrees, standard_error, unknown_group
from almanac.evaluation.student import student_quantile
from almanac.usecase.gate_section import ChanceRule
from almanac.usecase.types import Name


class MaxDisparity(ChanceRule):
    """The worst group's error over the best group's must not exceed this by more than chance."""

    rule: Literal["max_disparity"]
    group: Name
    """Declared group."""
    metric: Literal["rmse", "mae"] = "mae"
    """Error."""
    ratio: Annotated[float, Field(ge=1)]
    """Largest ratio."""


def _checks(rule: MaxDisparity, model: Candidate) -> Iterator[Check]:
    # A probability has neither of the two errors.
    if model.classification:
        return
    observed = model.number("disparity", rule.group, rule.metric, "ratio")
    what = f"{rule.metric} of the worst {rule.group} over the best"
    error = _standard_error(rule, model)
    if error is None:
        yield Check(rule.rule, model.target.name, what, observed, rule.ratio)
        return
    groups = len(model.entry["slices"][rule.group])
    # Any two of the groups can turn out to be the worst and the best.
    rate = model.rate / max(groups * (groups - 1), 1)
    allowed = float(rule.ratio * np.exp(student_quantile(degrees(model), 1.0 - rate) * error))
    note = f"{rule.ratio:g}, and what chance adds to it in {rate:.2%}"
    evidence = {"ratio": rule.ratio, "standard_error": error, "false_refusal_rate": rate}
    yield Check(rule.rule, model.target.name, what, observed, allowed, note=note, evidence=evidence)


def _standard_error(rule: MaxDisparity, model: Candidate) -> float | None:
    """Return the standard error of the ratio's logarithm, from the bootstrap intervals of both groups."""
    squares = 0.0
    for side in ("worst", "best"):
        disparity = model.entry.get("disparity")
        try:
            name = disparity[rule.group][rule.metric][side]  # type: ignore[index]
        except (KeyError, TypeError):
            return None
        value = model.number("slices", rule.group, name, rule.metric)
        error = standard_error(model, rule.group, name, rule.metric)
        if not value or error is None:
            return None
        squares += (error / value) ** 2
    return float(np.sqrt(squares))


def _by_chance(_: MaxDisparity, model: Candidate) -> bool:
    return not model.classification


KIND = GateRule("max_disparity", MaxDisparity, _checks, unknown_group, _by_chance)
