"""The gate's decision made again, by the gate's own code, from the figures and the rows that a version holds."""

import io
from datetime import datetime
from typing import Any

import polars as pl

from almanac.core.errors import DocumentError
from almanac.evaluation.gate.decide import decide
from almanac.evaluation.gate.evidence import REGISTERED, RegisteredModel, read_evidence
from almanac.evaluation.gate.registered import score_registered
from almanac.model.bundle import load_bundle
from almanac.usecase import UseCase
from governance.registry import Registry, fetch
from governance.registry.overview import read_document
from governance.verify.bundle import Bundle
from governance.verify.differences import TOLERANCE, json_difference

_GATE, _PREDICTIONS, _METRICS = "gate.json", "predictions.parquet", "metrics.json"


def check_gate(bundle: Bundle) -> tuple[int, str]:
    """Decide again, and compare gate.json.

    The forecasts of the model that was in production are columns of predictions.parquet; with its registry and the
    table at hand they are predicted again, too.

    Returns:
        The number of rules' checks that were made again.

    Raises:
        DocumentError: the first check that differs, with its place and both values.
    """
    artifacts, gate = bundle.artifacts, bundle.artifacts.document(_GATE)
    usecase = bundle.usecase
    rows = pl.read_parquet(io.BytesIO(artifacts[_PREDICTIONS].data))
    registered = gate.get("registered")
    model = RegisteredModel(registered["version"], tuple(registered["targets"])) if registered else None
    # The gate's code and not a copy of it: a second implementation would sooner or later decide by other rules.
    decision = decide(usecase, artifacts.document(_METRICS), read_evidence(usecase, rows, model))
    if fault := json_difference(gate, decision):
        raise DocumentError(f"{_GATE}{fault}, when it is decided again")
    note = _check_registered(bundle, usecase, rows, registered) if registered else ""
    return len(decision["rules"]), note


def _check_registered(bundle: Bundle, usecase: UseCase, rows: pl.DataFrame, registered: dict[str, Any]) -> str:
    """Predict again with the model that was in production; return why that could not be done, if it could not."""
    name = f"forecasts of version {registered['version']}, beside which it was judged, are not predicted again"
    if bundle.data is None or bundle.registry is None:
        return f"{name}: give {'--registry' if bundle.data else '--data and --registry'}"
    registry = Registry(bundle.registry)
    version = registry.version(usecase.name, registered["version"])
    before = load_bundle(fetch(registry, usecase.name, version), str(version.number))
    tuning = read_document(registry, usecase.name, version, "tuning.json")
    if tuning is None:
        return f"{name}: it has no tuning.json, which tells the rows that it learned from"
    spans = {key: each["span_trained"][1] for key, each in tuning["targets"].items() if "span_trained" in each}
    learned = {key: datetime.fromisoformat(newest) for key, newest in spans.items()}
    again = score_registered(usecase, bundle.data, rows.drop(REGISTERED), before, learned)
    stated, computed = rows[REGISTERED], again[REGISTERED]
    alike = ((stated - computed).abs() <= TOLERANCE * computed.abs() + 1e-12).fill_null(False)
    # Two missing forecasts agree: the registered model learned from such a row, or does not forecast its target.
    wrong = ~(alike | (stated.is_null() & computed.is_null()))
    if (row := wrong.arg_max()) is not None and wrong[row]:
        raise DocumentError(
            f"{_PREDICTIONS}: row {row}: {REGISTERED} is {stated[row]}, version {version.number} gives {computed[row]}"
        )
    return ""
