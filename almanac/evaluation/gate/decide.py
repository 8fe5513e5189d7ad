"""The gate's decision: open only if every rule of the use case holds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from almanac.core.errors import GateError
from almanac.core.files import read_json, write_json
from almanac.core.progress import summary
from almanac.evaluation.gate.rules import checks
from almanac.usecase import UseCase
from governance.registry import Registry
from governance.registry.versions import read_blob

_METRICS = "metrics.json"


def decide(usecase: UseCase, metrics: Mapping[str, Any], registered: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the decision, as gate.json holds it.

    The gate closes by default: without rules, without targets, or where a figure is missing or not finite.

    Args:
        usecase: the use case, whose `gates` are the rules.
        metrics: metrics.json of the new model.
        registered: metrics.json of the model in production; None where there is none.
    """
    made = [check.to_json() for rule in usecase.gates for check in checks(rule, usecase, metrics, registered)]
    made += _foreign(usecase, metrics)
    passed = bool(made) and all(check["passed"] is True for check in made)
    judged = {check["target"] for check in made}
    unjudged = [target.name for target in usecase.targets if target.name not in judged]
    made += [_closed(target, "no rule judges this target") for target in unjudged]
    return {"passed": passed and not unjudged, "use_case": usecase.name, "rules": made}


def run(usecase: UseCase, figures: Path, registry: str, decision: Path) -> bool:
    """Decide on the figures in metrics.json, write gate.json, and return whether the gate is open.

    Args:
        usecase: the use case.
        figures: metrics.json.
        registry: address of the model registry, whose model in production is the one to compare with.
        decision: where to write gate.json.

    Raises:
        GateError: metrics.json cannot be read.
    """
    try:
        metrics = read_json(figures)
    except (OSError, ValueError) as error:
        raise GateError(f"{figures}: cannot be read ({error}); right would be the evaluation's metrics.json") from error
    document = decide(usecase, metrics, registered_metrics(registry, usecase.name))
    write_json(decision, document)
    failed = [check for check in document["rules"] if not check["passed"]]
    for check in failed:
        print(f"closed: {check['message']}")
    summary("open" if document["passed"] else f"closed by {len(failed)} of {len(document['rules'])} checks")
    return document["passed"] is True


def registered_metrics(registry: str, use_case: str) -> dict[str, Any] | None:
    """Return metrics.json of the model in production; None where there is no such model.

    Raises:
        GateError: the model in production was registered without a metrics.json.
        RegistryError: the registry does not verify.
    """
    store = Registry(registry)
    current = store.current(use_case)
    if current is None:
        return None
    files = store.files(use_case, current.number)
    if _METRICS not in files:
        raise GateError(f"{registry}: version {current.number} of {use_case} has no {_METRICS} to compare with")
    metrics: dict[str, Any] = json.loads(read_blob(store.store, _METRICS, files[_METRICS]["sha256"]))
    return metrics


def _foreign(usecase: UseCase, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a failed check where the figures are of another use case."""
    if metrics.get("use_case") == usecase.name:
        return []
    return [_closed("all", f"the figures are of use case {metrics.get('use_case')!r}, not {usecase.name!r}")]


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
