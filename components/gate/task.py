"""Entry point of the gate component: apply the rules to a run, and compare it with the model in production."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.errors import GateError
from almanac.core.files import read_json, whole_file, write_json
from almanac.core.progress import summary
from almanac.evaluation.gate.decide import decide
from almanac.evaluation.gate.evidence import RegisteredModel, read_evidence
from almanac.evaluation.gate.registered import registered_model, score_registered
from almanac.model.bundle import load_bundle
from almanac.usecase import UseCase
from governance.registry import Registry, Version, fetch
from governance.registry.versions import read_blob

_TUNING = "tuning.json"


def run(usecase: UseCase, inputs: tuple[Path, Path, Path], registry: str, decision: Path, judged: Path) -> bool:
    """Decide on a run, write gate.json and the judged rows, and return whether the gate is open.

    Args:
        usecase: the use case.
        inputs: metrics.json and predictions.parquet of the evaluation, and the validated table.
        registry: address of the model registry, whose model in production is compared with.
        decision: path of gate.json.
        judged: path of the scored rows with the forecasts of the model in production, where there is one.

    Raises:
        GateError: metrics.json or predictions.parquet cannot be read.
        RegistryError: the registry does not verify.
        AlmanacError: the registered model cannot be loaded, or its features cannot be computed.
    """
    figures, scored, table = inputs
    metrics, predictions = _metrics(figures), _predictions(scored)
    store = Registry(registry)
    rows, registered = _beside(usecase, store, table, predictions)
    document = decide(usecase, metrics, read_evidence(usecase, rows, registered))
    with whole_file(judged) as aside:
        rows.write_parquet(aside)
    write_json(decision, document)
    failed = [check for check in document["rules"] if not check["passed"]]
    for check in failed:
        print(f"closed: {check['message']}")
    outcome = "open" if document["passed"] else f"closed by {len(failed)} of {len(document['rules'])} checks"
    summary(outcome if registered is None else f"{outcome}, beside version {registered.version}")
    return document["passed"] is True


def _beside(
    usecase: UseCase, store: Registry, table: Path, predictions: pl.DataFrame
) -> tuple[pl.DataFrame, RegisteredModel | None]:
    """Return the scored rows with the forecasts of the model in production, and that model."""
    current = store.current(usecase.name)
    if current is None:
        return predictions, None
    bundle = load_bundle(fetch(store, usecase.name, current), str(current.number))
    rows = score_registered(usecase, table, predictions, bundle, _learned(store, usecase.name, current))
    return rows, registered_model(usecase, bundle, current.number)


def _learned(store: Registry, use_case: str, version: Version) -> dict[str, datetime]:
    """Return the newest prediction time that each target of a version learned from, by its record of the tuning."""
    files = store.files(use_case, version.number)
    if _TUNING not in files:
        raise GateError(
            f"version {version.number} of {use_case} has no {_TUNING}, which tells the rows that it learned from; "
            f"register it again, or reject it"
        )
    record: dict[str, Any] = json.loads(read_blob(store.store, _TUNING, files[_TUNING]["sha256"]))
    spans = {name: target["span_trained"][1] for name, target in record["targets"].items() if "span_trained" in target}
    return {name: datetime.fromisoformat(newest) for name, newest in spans.items()}


def _metrics(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = read_json(path)
    except (OSError, ValueError) as error:
        raise GateError(f"{path}: cannot be read ({error}); expected the evaluation's metrics.json") from error
    return document


def _predictions(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise GateError(f"{path}: cannot be read ({error}); expected the evaluation's predictions.parquet") from error
