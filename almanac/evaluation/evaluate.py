"""Evaluation of a run's models on the held-out span."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from almanac.core.errors import MetricError
from almanac.core.files import read_json, sha256_file, whole_file, write_json
from almanac.core.progress import figure, progress, summary
from almanac.evaluation.evidence import Evidence, gather
from almanac.evaluation.report import build
from almanac.evaluation.scored_rows import Judged, judge, read_parts
from almanac.evaluation.target_metrics import target_figures
from almanac.model.directory import MANIFEST
from almanac.model.model import load_model
from almanac.usecase import UseCase, digest


@dataclass(frozen=True)
class Outputs:
    """Where an evaluation writes to."""

    figures: Path
    evaluation: Path
    predictions: Path
    report: Path

    @classmethod
    def below(cls, directory: Path) -> "Outputs":
        """Return the outputs under their names in a run directory."""
        return cls(
            directory / "metrics.json",
            directory / "evaluation.json",
            directory / "predictions.parquet",
            directory / "report.html",
        )


def evaluate(
    usecase: UseCase, features: Path, model: Path, out: Outputs | Path, tuning: Path | None = None
) -> dict[str, Any]:
    """Judge every target's model on the test span, write figures, evidence, predictions and report.

    Args:
        usecase: the use case.
        features: Parquet table with the time, the entity where there is one, the features, and for every target
            `y_<target>`, its value, missing where it was not measured, and `last_<target>`, the last known value.
        model: the run's model directory; each target's is below it.
        out: where to write, or the directory to write to under the usual names.
        tuning: record of the tuning, for the names of the chosen candidates and the report.

    Returns:
        The figures, as in metrics.json.

    Raises:
        TableError: the table lacks a column, or a target was nowhere measured in the test span.
        ModelError: a model directory is incomplete or altered.
    """
    outputs = Outputs.below(out) if isinstance(out, Path) else out
    table, late = read_parts(features, usecase)
    records = _tuning(tuning)
    entries: dict[str, Any] = {}
    evidence: list[Evidence] = []
    for done, target in enumerate(usecase.targets):
        progress(done, len(usecase.targets) + 1, target.name)
        forecaster = load_model(model / target.name)
        judged = judge(usecase, table, target, forecaster, late)
        record = records.get(target.name, {})
        entries[target.name] = target_figures(usecase, judged, record.get("chosen", forecaster.predictor.kind))
        evidence.append(gather(usecase, judged, forecaster, record))
    progress(len(usecase.targets), len(usecase.targets) + 1, "report")
    metrics = {"use_case": usecase.name, "targets": entries}
    write_json(outputs.figures, metrics)
    write_json(outputs.evaluation, _document(usecase, evidence))
    with whole_file(outputs.predictions) as aside:
        predictions(usecase, [each.judged for each in evidence]).write_parquet(aside)
    build(usecase, metrics, evidence).write(outputs.report)
    summary(key_figure(metrics), rows=sum(entry["n"] for entry in entries.values()))
    return metrics


def predictions(usecase: UseCase, judged: list[Judged]) -> pl.DataFrame:
    """Return the judged rows of all targets, one below the other, missing values as nulls."""
    return pl.concat([_predictions(each) for each in judged])


def provenance(usecase: UseCase, features: Path, model: Path) -> dict[str, str]:
    """Return what an evaluation was made of, as its artifacts' metadata holds it."""
    return {
        "use_case": usecase.name,
        "use_case_digest": digest(usecase),
        "features_digest": sha256_file(features),
        "model_digest": sha256_file(model / MANIFEST),
    }


def flat(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the leading figures by name, such as `pm_1h_rmse`, for a tracker or a user interface.

    Raises:
        MetricError: a figure is missing or not a finite number; it is named.
    """
    result: dict[str, float] = {}
    for target, entry in metrics["targets"].items():
        names = ("log_loss", "brier") if entry["task"] == "classification" else ("rmse", "mae", "r2")
        result |= {f"{target}_{name}": _finite(f"{target}_{name}", entry[name]) for name in names}
        result |= {
            f"{target}_skill_{name}": _finite(f"{target}_skill_{name}", skill[names[0]])
            for name, skill in entry["skill"].items()
        }
        if "coverage" in entry:
            result[f"{target}_coverage"] = _finite(f"{target}_coverage", entry["coverage"]["overall"])
    return result


def key_figure(metrics: Mapping[str, Any]) -> str:
    """Return the leading error of each target in a line."""
    parts = []
    for entry in metrics["targets"].values():
        name, said = ("log_loss", "log loss") if entry["task"] == "classification" else ("rmse", "RMSE")
        parts.append(f"{entry['horizon']} {said} {figure(entry[name])}")
    return ", ".join(parts)


def _predictions(judged: Judged) -> pl.DataFrame:
    nothing = np.full(judged.y.shape, np.nan)
    columns = {
        "y": judged.y,
        "prediction": judged.prediction,
        "lower": nothing if judged.lower is None else judged.lower,
        "upper": nothing if judged.upper is None else judged.upper,
        "last": judged.last,
        **judged.baselines,
    }
    return judged.keys.with_columns(
        pl.lit(judged.target.name).alias("target"),
        *(pl.Series(name, values).fill_nan(None) for name, values in columns.items()),
    )


def _document(usecase: UseCase, evidence: list[Evidence]) -> dict[str, Any]:
    return {
        "use_case": usecase.name,
        "targets": {each.judged.target.name: each.to_json() for each in evidence},
    }


def _tuning(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    targets: dict[str, Any] = read_json(path)["targets"]
    return targets


def _finite(name: str, value: Any) -> float:
    if value is None or not np.isfinite(value):
        raise MetricError(f"{name} is {value}; a figure must be a finite number")
    return float(value)
