"""What the component runs: the judged windows, the documents, the figures for Prometheus."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.errors import DeploymentError, DriftError, MetricError, TableError
from almanac.core.files import sha256_file, write_json
from almanac.core.progress import progress, summary
from almanac.drift import read as read_profile
from almanac.model.directory import REFERENCE
from almanac.model.model import Model, load_model
from almanac.reports import write_page
from almanac.usecase import UseCase, digest, load_text
from almanac.usecase.types import to_timedelta, to_utc
from governance.registry import Registry, Version, fetch
from monitoring.operations import figures
from monitoring.operations.push import push
from monitoring.operations.version import push_version
from monitoring.windows.expected_ranges import gather
from monitoring.windows.join import EmptyLogError, read_log, read_predictions, with_truth
from monitoring.windows.judge import Judged, Watched, breached, judge
from monitoring.windows.outputs import WatchedModel, read_watched
from monitoring.windows.report import monitoring_page

FORMAT = 1
LOG_VARIABLE = "ALMANAC_PREDICTION_LOG"
"""Where predictions are kept, for monitoring without an address: on a cluster, as its config map says."""


@dataclass(frozen=True)
class Places:
    """What is read and where figures go; see the component's arguments."""

    table: Path
    predictions: Path
    registry: str
    log: str = ""
    push: str = ""
    as_of: str = ""


def run(usecase: str, places: Places, out: Path, report: Path) -> tuple[bool, dict[str, Any]]:
    """Judge the last windows, write monitoring.json and monitoring.html, push, and return decision and metadata."""
    case = load_text(usecase, "usecase")
    watched, document, windows = monitor(case, places)
    write_json(out, document)
    write_page(monitoring_page(document, watched.joined, case, windows), report)
    if places.push:
        _push(case, watched, document, places)
    breaching = sum(window["breach"] for window in document["windows"])
    decision = "breached" if document["breached"] else "quiet"
    summary(f"{decision}, {breaching} of {len(document['windows'])} windows breach", watched.joined.height)
    keys = ("use_case", "use_case_digest", "version", "digest", "breached", "data_digest")
    return document["breached"], {key: document[key] for key in keys}


def monitor(usecase: UseCase, places: Places) -> tuple[Watched, dict[str, Any], list[Judged]]:
    """Return what was watched, monitoring.json, and the judged windows.

    Raises:
        DeploymentError: no version stands in production.
        TableError: a table or the log cannot be read.
        AlmanacError: a model that does not verify.
    """
    registry = Registry(places.registry)
    version = registry.current(usecase.name)
    if version is None:
        raise DeploymentError(f"{usecase.name}: no version stands in production in the registry {places.registry}")
    directory = fetch(registry, usecase.name, version)
    table = pl.read_parquet(places.table).with_columns(pl.col(usecase.time.column).cast(pl.Datetime("us")))
    if not table.height:
        raise DriftError(f"{places.table} has no rows; there is nothing to monitor")
    source, predictions = _predictions(usecase, table, places)
    joined = with_truth(usecase, table, predictions)
    outputs = read_watched(usecase, directory, version.number)
    models = {target.name: _model(directory, target.name, outputs) for target in usecase.targets}
    evidence = {}
    for done, (name, model) in enumerate(models.items(), start=1):
        evidence[name] = gather(usecase, directory, model)
        progress(done, len(models) + 1, f"what is expected of {name}")
    reference = read_profile(directory / usecase.targets[0].name / REFERENCE)
    watched = Watched(usecase, table, joined, reference, models, evidence, _now(usecase, places.as_of), outputs)
    judged = judge(watched)
    windows = [window.document for window in judged]
    return watched, _document(usecase, places, version, watched, windows) | source, judged


def _predictions(usecase: UseCase, table: pl.DataFrame, places: Places) -> tuple[dict[str, str], pl.DataFrame]:
    """Return where the predictions are from, as the document has it, and those predictions.

    The log that a cluster names for all of its pipelines may have nothing of this use case yet.
    """
    log = places.log or os.environ.get(LOG_VARIABLE, "")
    if not log:
        return {"predictions": "batch", "log": ""}, read_predictions(usecase, places.predictions)
    horizon = max(to_timedelta(target.horizon) for target in usecase.targets)
    policy = usecase.drift
    newest: Any = table[usecase.time.column].max()
    # A day more, since the table's clock and the servers' may be of different zones.
    since = newest - policy.policy.of * to_timedelta(policy.window) - horizon - timedelta(days=1)
    try:
        return {"predictions": "log", "log": log}, read_log(usecase, log, since)
    except EmptyLogError:
        if places.log:
            raise
        return {"predictions": "batch", "log": log}, read_predictions(usecase, places.predictions)


def _model(directory: Path, target: str, outputs: Mapping[str, WatchedModel | str]) -> Model:
    found = outputs[target]
    return load_model(directory / target) if isinstance(found, str) else found.model


def _document(
    usecase: UseCase, places: Places, version: Version, watched: Watched, windows: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": "monitoring",
        "use_case": usecase.name,
        "use_case_digest": digest(usecase),
        "data_digest": sha256_file(places.table),
        "generated_at": watched.now.replace(tzinfo=UTC).isoformat(timespec="seconds"),
        "version": version.number,
        "digest": version.manifest,
        "policy": usecase.drift.policy.model_dump(mode="json"),
        "signals": list(usecase.drift.signals),
        "notes": [found.why for found in watched.evidence.values() if found.why],
        "staleness": _staleness(watched),
        "breached": breached(usecase, windows),
        "windows": windows,
    }


def _now(usecase: UseCase, as_of: str) -> datetime:
    try:
        return to_utc(as_of) if as_of else usecase.now()
    except ValueError:
        raise TableError(f"as_of is {as_of!r}; write a time in ISO 8601, such as 2026-01-31T06:00:00") from None


def _staleness(watched: Watched) -> dict[str, Any]:
    """Return how old the newest row is; stale data are no reason to train on them again, but to be told of."""
    age = (watched.now - watched.newest).total_seconds()
    rule = watched.usecase.validation.staleness
    most = to_timedelta(rule.max_age).total_seconds() if rule is not None else None
    return {
        "newest": watched.newest.isoformat(),
        "age_seconds": age,
        "max_age_seconds": most,
        "stale": most is not None and age > most,
    }


def _push(usecase: UseCase, watched: Watched, document: dict[str, Any], places: Places) -> None:
    """Push the figures of the newest window, and what the version in production promises."""
    newest = document["windows"][-1]
    if newest["drift"] is not None:
        told = {"use_case": usecase.name, "outputs": newest["outputs"], "drifted": newest["drifted"]}
        drift = {**newest["drift"], **told}
        push(figures.of_drift(drift), places.push, f"{usecase.name}-drift")
    stop = datetime.fromisoformat(newest["stop"])
    rows = watched.joined.filter(pl.col("due") < stop).drop("due", "last")

    def estimate(target: str) -> float:
        return float(newest["targets"][target]["estimated"]["mae"])

    estimated = all(figures["estimated"] is not None for figures in newest["targets"].values())
    samples = figures.of_predictions(usecase.name, rows, usecase.drift.window, estimate if estimated else None)
    if samples:
        push(samples, places.push, f"{usecase.name}-window")
    try:
        version, window = document["version"], usecase.drift.window
        push_version(usecase.name, version, places.registry, places.push, window, watched.now)
    except MetricError as error:
        print(f"warning: the figures of version {document['version']} were not pushed: {error}", flush=True)
