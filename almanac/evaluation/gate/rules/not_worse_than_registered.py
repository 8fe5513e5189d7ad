"""The model must not be worse than the one in production, on the same rows."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from almanac.evaluation.gate.check import Check
from almanac.evaluation.gate.evidence import JudgedRows
from almanac.evaluation.gate.rules import Candidate, GateRule
from almanac.evaluation.paired import POWER, PairedLosses, compare, detectable, made_worse
from almanac.features.baselines import PERSISTENCE
from almanac.usecase.gate_section import ChanceRule


class NotWorse(ChanceRule):
    """The error must not be demonstrably larger than the registered model's on the same rows."""

    rule: Literal["not_worse_than_registered"]
    metric: Literal["rmse", "mae", "mae_log", "log_loss"] = "rmse"
    """Error."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Relative excess that counts as equal."""


def _checks(rule: NotWorse, model: Candidate) -> Iterator[Check]:
    metric, name = model.error(rule.metric), model.target.name
    if model.registered is None:
        other = model.evidence.registered
        why = "no model is registered yet" if other is None else f"version {other.version} has no such target"
        yield Check(rule.rule, name, f"{metric} beside the registered model's", None, None, vacuous=why)
        return
    version, rows = model.registered.version, model.rows
    rate = model.rate
    pair = None if rows is None else _pair(metric, rows)
    # A model whose own figure is missing was judged on nothing, whatever its rows say.
    if rows is None or pair is None or model.number(metric) is None:
        yield Check(rule.rule, name, f"{metric} beside version {version}'s on the same rows", None, rule.tolerance)
        return
    ours, theirs = pair.errors
    smallest = detectable(pair, _worse(metric, rows), rate, rule.tolerance)
    what = f"lower bound of the {metric}'s excess over version {version}'s on the same {pair.ours.size:,} rows"
    yield Check(
        rule.rule,
        name,
        what,
        _finite(pair.at_least(rate)),
        rule.tolerance,
        note=f"{ours:.4g} against {theirs:.4g}; an equal model is refused in {rate:.2%}, {_power(smallest)}",
        evidence={
            "metric": metric,
            "version": version,
            "rows": pair.ours.size,
            "observed": ours,
            "registered": theirs,
            "excess": _finite(float(np.expm1(pair.log_ratio))),
            "typical_excess": _finite(float(np.expm1(pair.typical))),
            "standard_error": pair.standard_error,
            "periods": pair.log_ratios.size,
            "false_refusal_rate": rate,
            "detectable_excess": smallest,
            "power": POWER,
        },
    )


def _pair(metric: str, rows: JudgedRows) -> PairedLosses | None:
    """Return both models' losses on the rows that neither learned from; None if there are too few."""
    if rows.registered is None or not np.isfinite(rows.registered).any():
        return None
    both = np.isfinite(rows.registered) & np.isfinite(rows.prediction)
    pair = compare(metric, rows.clock.at(both), rows.y[both], rows.prediction[both], rows.registered[both])
    return pair if pair.enough else None


def _worse(metric: str, rows: JudgedRows) -> PairedLosses | None:
    assert rows.registered is not None
    both = np.isfinite(rows.registered)
    baseline = rows.baselines[PERSISTENCE][both]
    return made_worse(metric, rows.clock.at(both), rows.y[both], rows.registered[both], baseline)


def _power(smallest: float | None) -> str:
    if smallest is None:
        return "and how much worse a model must be to be refused is not known"
    return f"one {smallest:.1%} worse in {POWER:.0%}"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _by_chance(_: NotWorse, model: Candidate) -> bool:
    return model.registered is not None


KIND = GateRule("not_worse_than_registered", NotWorse, _checks, by_chance=_by_chance)
