"""Entry point of the gate component: compare a run's metrics with the rules and with the model in production."""

import json
from pathlib import Path
from typing import Any

from almanac.core.errors import GateError
from almanac.core.files import read_json, write_json
from almanac.core.progress import summary
from almanac.evaluation.gate.decide import decide
from almanac.usecase import UseCase
from governance.registry import Registry
from governance.registry.versions import read_blob

_METRICS = "metrics.json"


def run(usecase: UseCase, metrics: Path, registry: str, decision: Path) -> bool:
    """Decide on the metrics of a run, write gate.json, and return whether the gate is open.

    Args:
        usecase: the use case.
        metrics: metrics.json.
        registry: address of the model registry, whose model in production is compared with.
        decision: path of gate.json.

    Raises:
        GateError: metrics.json cannot be read.
    """
    try:
        new = read_json(metrics)
    except (OSError, ValueError) as error:
        raise GateError(f"{metrics}: cannot be read ({error}); expected the evaluation's metrics.json") from error
    document = decide(usecase, new, registered_metrics(registry, usecase.name))
    write_json(decision, document)
    failed = [check for check in document["rules"] if not check["passed"]]
    for check in failed:
        print(f"closed: {check['message']}")
    summary("open" if document["passed"] else f"closed by {len(failed)} of {len(document['rules'])} checks")
    return document["passed"] is True


def registered_metrics(registry: str, use_case: str) -> dict[str, Any] | None:
    """Return metrics.json of the model in production; None if there is no such model.

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
