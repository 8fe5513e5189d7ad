"""The gate's decision: open only if every rule of the use case holds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from almanac.evaluation.gate import soundness
from almanac.evaluation.gate.check import SOUND
from almanac.evaluation.gate.evidence import Evidence
from almanac.evaluation.gate.rates import share
from almanac.evaluation.gate.rules import Candidate
from almanac.usecase import UseCase
from almanac.usecase.gate_section import GATE_RULES


def decide(usecase: UseCase, metrics: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
    """Return the decision, as gate.json holds it.

    The gate closes by default: without rules, without targets, or where a metric or the rows of a target are missing.
    The same arguments give the same decision, so that whoever has the files can decide again.

    Args:
        usecase: the use case, whose `gates` are the rules.
        metrics: metrics.json of the new model.
        evidence: the scored rows, and the forecasts of the model in production for them.
    """
    models = [Candidate(usecase, target, metrics, evidence) for target in usecase.targets]
    rates = share(usecase.gates, models)
    checks = [
        check.to_json()
        for rule, rate in zip(usecase.gates, rates.rules, strict=True)
        for model in models
        for check in GATE_RULES[rule.rule].checks(rule, replace(model, rate=rate))
    ]
    checks += [
        check.to_json()
        for target in usecase.targets
        if (rows := evidence.rows.get(target.name)) is not None
        for check in soundness.checks(target.name, rows, target.task == "classification", rates.sound)
    ]
    checks += _foreign(usecase, metrics)
    judged = {check["target"] for check in checks if check["rule"] != SOUND}
    for target in usecase.targets:
        # A target that every rule passes over must not get through unseen, and none without evidence.
        if target.name not in judged:
            checks.append(_closed(target.name, "no rule judges this target"))
        elif target.name not in evidence.rows:
            checks.append(_closed(target.name, "there are no scored rows of this target"))
    return {
        # All of no rules would hold.
        "passed": bool(usecase.gates) and bool(checks) and all(check["passed"] is True for check in checks),
        "use_case": usecase.name,
        "registered": None if evidence.registered is None else evidence.registered.to_json(),
        "false_refusals": rates.total,
        "rules": checks,
    }


def _foreign(usecase: UseCase, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a failed check if the metrics are of another use case."""
    if metrics.get("use_case") == usecase.name:
        return []
    return [_closed("all", f"the metrics are of use case {metrics.get('use_case')!r}, not {usecase.name!r}")]


def _closed(target: str, why: str) -> dict[str, Any]:
    nothing = {"observed": None, "bound": None, "required": None, "margin": None}
    return {
        "rule": "complete",
        "target": target,
        "figure": "figures",
        "passed": False,
        **nothing,
        "message": f"complete, {target}: {why}",
    }
