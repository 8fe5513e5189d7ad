"""Monitoring of the model in production: its last windows and the decision."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.clocks import data_time, wall_time
from almanac.core.errors import DeploymentError, DriftError, TableError
from almanac.core.files import sha256_file
from almanac.core.progress import progress
from almanac.drift import read as read_profile
from almanac.model.directory import REFERENCE
from almanac.model.model import Model, load_model
from almanac.usecase import UseCase, digest
from almanac.usecase.types import to_timedelta, to_utc
from governance.registry import Registry, Version, fetch
from monitoring.operations.model_samples import try_push_version
from monitoring.operations.push import push
from monitoring.operations.window_samples import band_samples, drift_samples, prediction_samples
from monitoring.windows.expected_ranges import read_expected_ranges
from monitoring.windows.join import EmptyLogError, read_log, read_predictions, with_truth
from monitoring.windows.judge import JudgedWindow, Monitored, breached, judge
from monitoring.windows.outputs import WatchedModel, read_watched_models

#: 2: `generated_at`, which was a time of the data's clock with the zone of the wall clock, became `data_present`.
FORMAT = 2
#: Address of the prediction log where none is given: on a cluster, the config map of all pipelines sets it.
LOG_VARIABLE = "ALMANAC_PREDICTION_LOG"


@dataclass(frozen=True)
class Sources:
    """The data of a monitoring; see the arguments of the component `monitoring`."""

    table: Path
    predictions: Path
    registry: str
    log: str = ""
    as_of: str = ""


@dataclass(frozen=True)
class Monitoring:
    """The result of a monitoring.

    Attributes:
        monitored: the use case with its data and models.
        document: monitoring.json.
        windows: the judged windows.
    """

    monitored: Monitored
    document: dict[str, Any]
    windows: list[JudgedWindow]


def monitor(usecase: UseCase, sources: Sources) -> Monitoring:
    """Judge the last windows of the version in production.

    Raises:
        DeploymentError: no version is in production.
        TableError: a table or the log cannot be read.
        AlmanacError: a model that does not verify.
    """
    registry = Registry(sources.registry)
    version = registry.current(usecase.name)
    if version is None:
        raise DeploymentError(f"{usecase.name}: no version is in production in the registry {sources.registry}")
    directory = fetch(registry, usecase.name, version)
    table = pl.read_parquet(sources.table).with_columns(pl.col(usecase.time.column).cast(pl.Datetime("us")))
    if not table.height:
        raise DriftError(f"{sources.table} has no rows; there is nothing to monitor")
    source, predictions = _predictions(usecase, table, sources)
    outputs = read_watched_models(usecase, directory, version.number)
    models = {target.name: _model(directory, target.name, outputs) for target in usecase.targets}
    ranges = {}
    for done, (name, model) in enumerate(models.items(), start=1):
        ranges[name] = read_expected_ranges(usecase, directory, model)
        progress(done, len(models) + 1, f"expected ranges of {name}")
    monitored = Monitored(
        usecase=usecase,
        table=table,
        joined=with_truth(usecase, table, predictions),
        # Every target has the same profile of the columns.
        reference=read_profile(directory / usecase.targets[0].name / REFERENCE),
        models=models,
        ranges=ranges,
        now=_now(usecase, sources.as_of),
        outputs=outputs,
    )
    windows = judge(monitored)
    return Monitoring(monitored, _document(monitored, windows, sources.table, version) | source, windows)


def _document(monitored: Monitored, windows: list[JudgedWindow], table: Path, version: Version) -> dict[str, Any]:
    """Return monitoring.json, but for the source of the predictions."""
    usecase, judged = monitored.usecase, [window.document for window in windows]
    return {
        "format": FORMAT,
        "kind": "monitoring",
        "use_case": usecase.name,
        "use_case_digest": digest(usecase),
        "data_digest": sha256_file(table),
        # No time of the wall clock: the same data give the same document.
        "data_present": data_time(monitored.now),
        "version": version.number,
        "digest": version.manifest,
        "policy": usecase.drift.policy.model_dump(mode="json"),
        "signals": list(usecase.drift.signals),
        "notes": [expected.missing_loss for expected in monitored.ranges.values() if expected.missing_loss],
        "staleness": _staleness(monitored),
        "breached": breached(usecase, judged),
        "windows": judged,
    }


def _predictions(usecase: UseCase, table: pl.DataFrame, sources: Sources) -> tuple[dict[str, str], pl.DataFrame]:
    """Return the source of the predictions, as the document has it, and those predictions."""
    log = sources.log or os.environ.get(LOG_VARIABLE, "")
    if not log:
        return {"predictions": "batch", "log": ""}, read_predictions(usecase, sources.predictions)
    newest: Any = table[usecase.time.column].max()
    # A day more, since the table's clock and the servers' may be of different zones.
    since = (
        newest - usecase.drift.policy.of * to_timedelta(usecase.drift.window) - usecase.longest_wait - timedelta(days=1)
    )
    try:
        return {"predictions": "log", "log": log}, read_log(usecase, log, since)
    except EmptyLogError:
        if sources.log:
            raise
        # The log that a cluster names for all of its pipelines may have nothing of this use case yet.
        return {"predictions": "batch", "log": log}, read_predictions(usecase, sources.predictions)


def _model(directory: Path, target: str, outputs: Mapping[str, WatchedModel | str]) -> Model:
    output = outputs[target]
    return load_model(directory / target) if isinstance(output, str) else output.model


def _now(usecase: UseCase, as_of: str) -> datetime:
    try:
        return to_utc(as_of) if as_of else usecase.now()
    except ValueError:
        raise TableError(f"as_of is {as_of!r}; write a time in ISO 8601, such as 2026-01-31T06:00:00") from None


def _staleness(monitored: Monitored) -> dict[str, Any]:
    """Return the age of the newest row by the data's clock; stale data are no reason to train on them again."""
    age = (monitored.now - monitored.newest).total_seconds()
    rule = monitored.usecase.validation.staleness
    most = to_timedelta(rule.max_age).total_seconds() if rule is not None else None
    return {
        "newest": data_time(monitored.newest),
        "age_seconds": age,
        "max_age_seconds": most,
        "stale": most is not None and age > most,
    }


def push_monitoring(monitoring: Monitoring, registry: str, to: str) -> None:
    """Push the samples of the newest window and of the version in production."""
    monitored, newest = monitoring.monitored, monitoring.document["windows"][-1]
    usecase = monitored.usecase
    if newest["drift"] is not None:
        compared = {"use_case": usecase.name, "outputs": newest["outputs"], "drifted": newest["drifted"]}
        # An alert compares this time with the wall clock, on which an archive's present lies years back.
        document = {**newest["drift"], **compared, "generated_at": wall_time()}
        push(drift_samples(document), to, f"{usecase.name}-drift")
    stop = datetime.fromisoformat(newest["stop"])
    rows = monitored.joined.filter(pl.col("due") < stop).drop("due", "last")

    def estimate(target: str) -> float:
        return float(newest["targets"][target]["estimated"]["mae"])

    # Asked for every target, and so passed on only where each of them has an estimate.
    estimated = all(metrics["estimated"] is not None for metrics in newest["targets"].values())
    samples = prediction_samples(usecase.name, rows, usecase.drift.window, estimate if estimated else None)
    samples += band_samples(usecase.name, newest["targets"])
    if samples:
        push(samples, to, f"{usecase.name}-window")
    try_push_version(usecase, monitoring.document["version"], registry, to, monitored.now)
