"""Training: tune, select, refit, calibrate and write the model directory."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError
from almanac.core.files import read_json, sha256_file, write_json
from almanac.core.progress import progress as print_progress
from almanac.core.revision import git_revision
from almanac.features.split import split_record
from almanac.model.directory import OUT_OF_FOLD
from almanac.model.offset import probability
from almanac.training.backends import open_problems
from almanac.training.bounds import clip_of
from almanac.training.fitted_model import FittedModel
from almanac.training.folds import fold_weights
from almanac.training.problem import Rows
from almanac.training.reference import freeze, input_profile
from almanac.training.selection import Selection, refit, select
from almanac.training.table_facts import table_facts
from almanac.training.target_intervals import TargetIntervals, target_intervals
from almanac.training.tracking import archive_in_background, finish, log_to_mlflow, make_record
from almanac.training.write import Provenance, TargetModel, digest_of, write_models
from almanac.usecase import UseCase
from almanac.usecase.views import trained_digest

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Inputs:
    """The files that training reads.

    Attributes:
        features: feature table: entity, time, features, and y_ and last_ of each target.
        specification: content of features.json: spec, names, fitted.
        table: validated table, whose columns the drift reference profiles.
    """

    features: Path
    specification: Path
    table: Path


def train(
    usecase: UseCase,
    inputs: Inputs,
    out_model: Path,
    out_tuning: Path,
    out_tracking: Path | None = None,
    progress: Progress = print_progress,
) -> dict[str, Any]:
    """Train a model for every target and write the model directory and the record of the tuning.

    Args:
        usecase: the use case.
        inputs: the files to train on.
        out_model: the model directory, one complete directory a target in it, and the out-of-fold predictions.
        out_tuning: record of all trials, the comparison and the choice, as JSON.
        out_tracking: the tracking record and the offline archive; not tracked when None.
        progress: called as progress(done, total, text) after every trial.

    Returns:
        the record as in `out_tuning`, `model_digest`, and the digests and the revision of the model's manifest.

    Raises:
        TrainingError: a target, fold or candidate that cannot be trained; the message names it.
    """
    # BLAS sums in another order when it has more threads; one thread gives the same bytes on every machine.
    with threadpool_limits(1):
        record, manifest = _train(usecase, inputs, out_model, out_tuning, out_tracking, progress)
    if usecase.tracking is not None and out_tracking is not None:
        tracking = make_record(record, trained_digest(usecase))
        if problem := log_to_mlflow(usecase, usecase.tracking.mlflow, tracking, out_model, out_tuning):
            print(f"warning: {problem}", flush=True)
    kept = ("use_case_digest", "data_digest", "features_digest", "git_revision")
    return {**record, "model_digest": digest_of(out_model), **{key: manifest[key] for key in kept}}


def _train(
    usecase: UseCase,
    inputs: Inputs,
    out_model: Path,
    out_tuning: Path,
    out_tracking: Path | None,
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, Any]]:
    specification = _specification(inputs.specification)
    names = [str(name) for name in specification["names"]]
    with open_problems(usecase, inputs.features, names) as (features, problems):
        selections = select(usecase, problems, progress)
        # Written before the refit, so that an interrupted training leaves its trials.
        record = tuning_record(usecase, selections, table_facts(usecase, inputs.table))
        write_json(out_tuning, record)
        # The archive takes seconds to write; they pass while the chosen models are refitted.
        with tracked(usecase, record, out_tracking):
            fitted = refit(usecase, selections)
            profile = input_profile(usecase, pl.read_parquet(inputs.table), features, problems[0])
            with ThreadPoolExecutor(usecase.training.threads) as pool:
                jobs = [
                    pool.submit(_target_model, usecase, features, profile, selection, model)
                    for selection, model in zip(selections, fitted, strict=True)
                ]
                parts = [job.result() for job in jobs]
            manifest = _write(usecase, inputs, out_model, specification, parts)
    return record, manifest


def _write(
    usecase: UseCase,
    inputs: Inputs,
    out_model: Path,
    specification: dict[str, Any],
    parts: list[tuple[TargetModel, pl.DataFrame]],
) -> dict[str, Any]:
    """Write the model directory and return its manifest."""
    provenance = Provenance(sha256_file(inputs.table), sha256_file(inputs.features), git_revision())
    extra = {OUT_OF_FOLD: _parquet(pl.concat([frame for _, frame in parts]))}
    models = [model for model, _ in parts]
    return write_models(out_model, usecase, specification, models, provenance, extra)


def _target_model(
    usecase: UseCase, features: pl.DataFrame, profile: dict[str, Any], selection: Selection, fitted: FittedModel
) -> tuple[TargetModel, pl.DataFrame]:
    """Return the content of a target's directory, and its out-of-fold predictions."""
    problem = selection.problem
    # Intervals follow from out-of-fold errors: those of the refitted model on its own training rows are too small.
    frame, intervals = _calibrated(usecase, features, selection)
    rows = np.concatenate([fold.valid for fold in selection.folds])
    frozen = freeze(usecase, profile, problem, fitted, rows, frame)
    return TargetModel(problem, fitted, intervals, frozen, clip_of(usecase, problem)), frame


@contextmanager
def tracked(usecase: UseCase, record: dict[str, Any], directory: Path | None) -> Iterator[None]:
    """Write the tracking record, and its archive while the block runs; a failure is reported, and training goes on."""
    if directory is None:
        yield
        return
    process = archive_in_background(make_record(record, trained_digest(usecase)), directory)
    try:
        yield
    finally:
        if problem := finish(process):
            print(f"warning: {problem}", flush=True)


def _specification(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = read_json(path)
    if missing := [key for key in ("spec", "names", "fitted") if key not in document]:
        raise TrainingError(f"{path}: no field {missing[0]!r}; a feature specification has spec, names and fitted")
    return document


def _values(usecase: UseCase, selection: Selection, raw: Array) -> Array:
    """Return raw predictions as values within the declared bounds, or as probabilities."""
    if selection.problem.classification:
        return probability(raw)
    raw = np.exp(raw) if selection.problem.target.scale == "log" else raw
    clip = clip_of(usecase, selection.problem)
    return raw.copy() if clip == (None, None) else np.asarray(np.clip(raw, *clip))


def _calibrated(
    usecase: UseCase, features: pl.DataFrame, selection: Selection
) -> tuple[pl.DataFrame, TargetIntervals | None]:
    """Return the out-of-fold predictions of the chosen model, and the intervals calibrated on them."""
    problem = selection.problem
    rows = np.concatenate([fold.valid for fold in selection.folds])
    prediction = _values(usecase, selection, selection.chosen.raw)
    fold = np.concatenate([np.full(f.valid.size, k) for k, f in enumerate(selection.folds)])
    intervals = None
    if not problem.classification:
        intervals = target_intervals(usecase, selection, prediction, rows, _entities(usecase, features, rows))
    frame = features.select(usecase.keys)[rows].with_columns(
        pl.lit(problem.target.name).alias("target"),
        pl.Series("fold", fold, dtype=pl.Int32),
        pl.Series("y", problem.truth[rows]),
        pl.Series("prediction", prediction),
        pl.Series("last", problem.last[rows]),
        _end("lower", None if intervals is None else intervals.lower),
        _end("upper", None if intervals is None else intervals.upper),
    )
    return frame, intervals


def _end(name: str, values: Array | None) -> pl.Expr | pl.Series:
    return pl.lit(None, dtype=pl.Float64).alias(name) if values is None else pl.Series(name, values)


def _entities(usecase: UseCase, features: pl.DataFrame, rows: Rows) -> list[str] | None:
    """Return the entity of each row for offsets of its own; None where entities share theirs."""
    # Events of one entity are few, and come in no regular step.
    if usecase.entity is None or usecase.events is not None or not usecase.training.intervals.by_entity:
        return None
    return features[usecase.entity].cast(pl.String)[rows].to_list()


def tuning_record(usecase: UseCase, selections: list[Selection], table: dict[str, Any]) -> dict[str, Any]:
    """Return tuning.json: facts of the table, the trials, the comparison on the same rows, and the choice."""
    settings = usecase.training
    return {
        "use_case": usecase.name,
        "seed": settings.seed,
        "budget": settings.budget.model_dump(),
        "split": split_record(usecase, selections[0].problem.time),
        "table": table,
        **({"engine": {"name": "dask", "workers": settings.dask.workers}} if settings.engine == "dask" else {}),
        "targets": {selection.problem.target.name: _target_record(usecase, selection) for selection in selections},
    }


def _target_record(usecase: UseCase, selection: Selection) -> dict[str, Any]:
    problem = selection.problem
    trained = problem.time[problem.known]
    counts = fold_weights(selection.folds)
    order = sorted(selection.contenders, key=lambda contender: contender.loss)
    return {
        "chosen": selection.chosen.name,
        "rule": selection.rule,
        "weights": selection.chosen.weights,
        "metric": usecase.training.choose.metric_of(problem.target),
        "loss": selection.chosen.loss,
        "rows_compared": selection.rows,
        "rows_trained": int(problem.known.sum()),
        "span_trained": [_at(edge) for edge in (trained.min(), trained.max())],
        "folds": [_fold_record(problem.time, fold.train, fold.valid) for fold in selection.folds],
        "fold_weights": counts.tolist(),
        "baselines": {
            name: {"loss": float(np.average(v, weights=counts)), "folds": v} for name, v in selection.baselines.items()
        },
        "candidates": {
            contender.name: {
                "loss": contender.loss,
                "folds": contender.losses,
                "bias": _bias(usecase, selection, contender.raw),
                "weights": contender.weights,
                **({} if contender.mase_median is None else {"mase_median": contender.mase_median}),
            }
            for contender in order
        },
        "parameters": {name: selection.tuned[name].parameters for name in selection.chosen.weights},
        "trials": {
            name: {"stopped_by": tuned.stopped, "trials": [trial.to_json() for trial in tuned.trials]}
            for name, tuned in selection.tuned.items()
        },
    }


def _bias(usecase: UseCase, selection: Selection, raw: Array) -> float:
    """Return the mean out-of-fold error of a contender, which a squared error hides as long as it is small."""
    rows = np.concatenate([fold.valid for fold in selection.folds])
    return float(np.mean(_values(usecase, selection, raw) - selection.problem.truth[rows]))


def _fold_record(time_us: Any, train: Any, valid: Any) -> dict[str, Any]:
    return {
        "train": {"rows": int(train.size), "from": _at(time_us[train].min()), "to": _at(time_us[train].max())},
        "valid": {"rows": int(valid.size), "from": _at(time_us[valid].min()), "to": _at(time_us[valid].max())},
    }


def _at(time_us: Any) -> str:
    return str(np.datetime64(int(time_us), "us").astype("datetime64[s]"))


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()
