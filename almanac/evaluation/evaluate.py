"""Evaluation of a run's models on the held-out span."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from almanac.core.errors import MetricError
from almanac.core.files import read_json, sha256_file, whole_file, write_json
from almanac.core.progress import format_metric, progress, summary
from almanac.evaluation.labels import label
from almanac.evaluation.metrics import ERRORS
from almanac.evaluation.report import report
from almanac.evaluation.scored_rows import ScoredRows, read_parts, score_rows
from almanac.evaluation.step_metrics import step_metrics
from almanac.evaluation.target_analysis import TargetAnalysis, analyse
from almanac.evaluation.target_metrics import target_metrics
from almanac.features.split import split_record
from almanac.model.directory import MANIFEST, OUT_OF_FOLD
from almanac.model.model import load_model
from almanac.reports import write_page
from almanac.usecase import UseCase
from almanac.usecase.views import trained_digest


@dataclass(frozen=True)
class Outputs:
    """Paths of the files that an evaluation writes; a verification, which compares figures, needs no report."""

    metrics: Path
    evaluation: Path
    predictions: Path
    report: Path | None

    @classmethod
    def below(cls, directory: Path) -> "Outputs":
        """Return the paths under their names in a run directory."""
        names = ("metrics.json", "evaluation.json", "predictions.parquet", "report.html")
        return cls(*(directory / name for name in names))


def evaluate(
    usecase: UseCase, features: Path, model: Path, out: Outputs | Path, tuning: Path | None = None
) -> dict[str, Any]:
    """Evaluate every target's model on the test span; write metrics, analysis, predictions and report.

    Args:
        usecase: the use case.
        features: Parquet table with the time, the entity if the use case has one, the features, and for every target
            `y_<target>`, its value, missing where it was not measured, and `last_<target>`, the last known value.
        model: the run's model directory; each target's is below it.
        out: the output paths, or a directory for files of the usual names.
        tuning: record of the tuning, for the names of the chosen candidates and the report.

    Returns:
        The metrics, as in metrics.json.

    Raises:
        TableError: the table lacks a column, or a target was nowhere measured in the test span.
        ModelError: a model directory is incomplete or altered.
    """
    outputs = Outputs.below(out) if isinstance(out, Path) else out
    table, late = read_parts(features, usecase)
    records = {} if tuning is None else read_json(tuning)["targets"]
    unseen = pl.read_parquet(model / OUT_OF_FOLD) if (model / OUT_OF_FOLD).is_file() else None
    entries: dict[str, Any] = {}
    analyses: list[TargetAnalysis] = []
    for done, target in enumerate(usecase.targets):
        progress(done, len(usecase.targets) + 1, target.name)
        forecaster = load_model(model / target.name)
        scored = score_rows(usecase, table, target, forecaster, late, unseen)
        record = records.get(target.name, {})
        entries[target.name] = target_metrics(usecase, scored, record.get("chosen", forecaster.predictor.kind))
        analyses.append(analyse(usecase, scored, forecaster, record))
    for name, steps in step_metrics(usecase, [each.scored for each in analyses]).items():
        entries[name]["steps"] = steps
    progress(len(usecase.targets), len(usecase.targets) + 1, "report")
    split = split_record(usecase, table[usecase.time.column])
    metrics = {"use_case": usecase.name, "split": split, "targets": entries}
    write_json(outputs.metrics, metrics)
    targets = {each.scored.target.name: each.to_json() for each in analyses}
    write_json(outputs.evaluation, {"use_case": usecase.name, "targets": targets})
    with whole_file(outputs.predictions) as aside:
        predictions([each.scored for each in analyses]).write_parquet(aside)
    if outputs.report is not None:
        write_page(report(usecase, metrics, analyses), outputs.report)
    summary(leading_errors(metrics), rows=sum(entry["n"] for entry in entries.values()))
    return metrics


def predictions(scored: list[ScoredRows]) -> pl.DataFrame:
    """Return the scored rows of all targets as one table, missing values as nulls."""
    # A baseline that repeats another is none of its target's, and its column null there.
    return pl.concat([_predictions(each) for each in scored], how="diagonal")


def provenance(usecase: UseCase, features: Path, model: Path) -> dict[str, str]:
    """Return the digests of an evaluation's inputs, for the metadata of its artifacts."""
    return {
        "use_case": usecase.name,
        "use_case_digest": trained_digest(usecase),
        "features_digest": sha256_file(features),
        "model_digest": sha256_file(model / MANIFEST),
    }


def leading_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the leading metrics by name, such as `pm_1h_rmse`, for a tracker or a user interface.

    Raises:
        MetricError: a metric is missing or not a finite number; it is named.
    """
    result: dict[str, Any] = {}
    for target, entry in metrics["targets"].items():
        names = (*ERRORS[entry["task"]], *(("r2",) if entry["task"] == "regression" else ()))
        result |= {f"{target}_{name}": entry[name] for name in names}
        result |= {f"{target}_skill_{name}": skill[names[0]] for name, skill in entry["skill"].items()}
        result[f"{target}_skill"] = entry["headline"]["skill"]
        if "coverage" in entry:
            result[f"{target}_coverage"] = entry["coverage"]["overall"]
    # A user interface would show a NaN as an empty field, which nobody misses.
    for name, value in result.items():
        if value is None or not np.isfinite(value):
            raise MetricError(f"{name} is {value}; expected a finite number")
    return {name: float(value) for name, value in result.items()}


def leading_errors(metrics: Mapping[str, Any]) -> str:
    """Return the leading error of each target in a line; targets that share a horizon have their names there."""
    entries = metrics["targets"]
    by_horizon = len({entry["horizon"] for entry in entries.values()}) == len(entries)
    parts = []
    for target, entry in entries.items():
        metric = entry["headline"]["metric"]
        parts.append(f"{entry['horizon'] if by_horizon else target} {label(metric)} {format_metric(entry[metric])}")
    return ", ".join(parts)


def _predictions(scored: ScoredRows) -> pl.DataFrame:
    missing = np.full(scored.y.shape, np.nan)
    columns = {
        "y": scored.y,
        "prediction": scored.prediction,
        "lower": missing if scored.lower is None else scored.lower,
        "upper": missing if scored.upper is None else scored.upper,
        "last": scored.last,
        **scored.baselines,
    }
    return scored.keys.with_columns(
        pl.lit(scored.target.name).alias("target"),
        *(pl.Series(name, values).fill_nan(None) for name, values in columns.items()),
    )
