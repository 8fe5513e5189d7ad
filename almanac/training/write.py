"""Writing the model directory."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from almanac.core.arrays import Array
from almanac.core.files import sha256_bytes, sha256_file, whole_directory, write_bytes, write_json
from almanac.core.levels import OTHER
from almanac.features.spec import FeatureSpec
from almanac.features.split import split_record
from almanac.model.directory import FORMAT, INTERVALS, LOSS, MANIFEST, REFERENCE, WIDTH
from almanac.training.fitted_model import FittedModel
from almanac.training.problem import Problem
from almanac.training.reference import Frozen
from almanac.training.target_intervals import TargetIntervals
from almanac.usecase import UseCase
from almanac.usecase.column_section import Column
from almanac.usecase.views import trained_digest

_LIBRARIES = ("lightgbm", "numpy", "polars", "scikit-learn", "scipy", "skops", "optuna")


@dataclass(frozen=True)
class Provenance:
    """The origin of a model, for its manifest.

    Attributes:
        data_digest: sha256 of the table that it was trained on.
        features_digest: sha256 of the feature table.
        git_revision: revision of the code.
    """

    data_digest: str
    features_digest: str
    git_revision: str


@dataclass(frozen=True)
class TargetModel:
    """The content of one target's directory."""

    problem: Problem
    fitted: FittedModel
    intervals: TargetIntervals | None
    frozen: Frozen
    clip: tuple[float | None, float | None]


def write_models(
    directory: Path,
    usecase: UseCase,
    specification: dict[str, Any],
    models: list[TargetModel],
    provenance: Provenance,
    extra: dict[str, bytes],
) -> dict[str, Any]:
    """Write `directory`, one complete model directory a target below it, whole or not at all; return its manifest.

    Args:
        directory: path of the model directory.
        usecase: the use case.
        specification: content of features.json: spec, names, fitted.
        models: the models, one a target.
        provenance: their origin.
        extra: further files beside the targets' directories, by name.
    """
    common = {
        "format": FORMAT,
        "use_case": usecase.name,
        "use_case_digest": trained_digest(usecase),
        "data_digest": provenance.data_digest,
        "features_digest": provenance.features_digest,
        "split": split_record(usecase, models[0].problem.time),
        "git_revision": provenance.git_revision,
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    with whole_directory(directory) as aside:
        for model in models:
            _write_target(aside / model.problem.target.name, usecase, specification, model, common)
        for name, data in extra.items():
            write_bytes(aside / name, data)
        names = [model.problem.target.name for model in models]
        manifest = {**common, "targets": names, "files": _listed(aside)}
        # Last, because it lists all other files with their digests.
        write_json(aside / MANIFEST, manifest)
    return manifest


def _write_target(
    directory: Path, usecase: UseCase, specification: dict[str, Any], model: TargetModel, common: dict[str, Any]
) -> None:
    problem = model.problem
    low, high = model.clip
    bounds = (-np.inf if low is None else low, np.inf if high is None else high)
    link = "logit" if problem.classification else "log" if problem.target.scale == "log" else "identity"
    # Bounds and link belong to the saved model only: the folds compare raw predictions.
    form = model.fitted.saved(problem, replace(model.fitted.linear, link=link, clip=bounds))
    for name, data in form.files.items():
        write_bytes(directory / name, data)
    write_json(directory / "features.json", specification)
    if model.intervals is not None:
        write_json(directory / INTERVALS, model.intervals.intervals.to_json())
        if model.intervals.width is not None:
            write_bytes(directory / WIDTH, model.intervals.width)
    write_json(directory / "signature.json", signature(usecase, specification, problem, model.intervals is not None))
    write_json(directory / REFERENCE, model.frozen.reference)
    if model.frozen.loss is not None:
        write_json(directory / LOSS, model.frozen.loss.to_json())
    write_json(
        directory / MANIFEST,
        {**common, "target": problem.target.name, "kind": form.body, "files": _listed(directory)},
    )


def signature(usecase: UseCase, specification: dict[str, Any], problem: Problem, intervals: bool) -> dict[str, Any]:
    """Return the input and output schema of a target's model."""
    target, spec = problem.target, FeatureSpec.model_validate(specification["spec"])
    unit = "" if problem.classification else usecase.columns[target.column].unit
    task = {"task": target.task, "above": target.above}
    decision = target.decision or (None if problem.classification else usecase.serving.decision)
    return {
        "target": {"name": target.name, "column": target.column, "horizon": target.horizon, "unit": unit, **task},
        "inputs": _inputs(usecase, spec),
        "features": _features(spec, problem),
        "outputs": [
            {"name": name, "type": "float", "unit": unit}
            for name in (["prediction", "lower", "upper"] if intervals else ["prediction"])
        ],
        "out_of_range": usecase.serving.out_of_range,
        "as_of": usecase.archive_as_of,
        **_entities(usecase, problem),
        "decision": None if decision is None else decision.model_dump(mode="json"),
        **({} if target.stakes is None else {"stakes": target.stakes.model_dump(mode="json", exclude={"prices"})}),
        **({} if target.signals is None else {"signals": target.signals.model_dump(mode="json")}),
    }


def _entities(usecase: UseCase, problem: Problem) -> dict[str, Any]:
    """Return the entities whose target the model has learned, so that a reader knows one that it has not."""
    if usecase.entity is None or usecase.events is not None:
        return {}
    learned = np.asarray(problem.history().entity, dtype=np.str_)[problem.known]
    return {"entities": {"column": usecase.entity, "learned": np.unique(learned).tolist()}}


#: Types that the table holds as numbers, by the type that a request has.
_TYPES = {"boolean": "integer", "date": "integer"}


def _inputs(usecase: UseCase, spec: FeatureSpec) -> list[dict[str, Any]]:
    keys = [{"name": usecase.time.column, "type": "timestamp", "unit": None, "nullable": False}]
    if usecase.entity:
        keys.insert(0, {"name": usecase.entity, "type": "category", "unit": None, "nullable": False})
    empty = {"min": None, "max": None, "categories": None}
    return [{**key, **empty} for key in keys] + [
        _input(name, column, spec.categories.get(name)) for name, column in usecase.columns.items()
    ]


def _input(name: str, column: Column, fitted: list[str] | None) -> dict[str, Any]:
    # A category that is no feature has learned no levels; any text counts as the bucket.
    learned = fitted or [OTHER] if column.type == "category" else None
    return {
        "name": name,
        "type": _TYPES.get(column.type, column.type),
        "unit": column.unit,
        "min": column.min,
        "max": column.max,
        "categories": column.categories or learned,
        "nullable": column.max_missing > 0,
    }


def _features(spec: FeatureSpec, problem: Problem) -> list[dict[str, Any]]:
    """Return name and type of each feature, with the range of a number or the names of a category's codes."""
    coded = spec.coded
    features: list[dict[str, Any]] = []
    for k, name in enumerate(problem.names):
        if name in coded:
            features.append({"name": name, "type": "category", "categories": spec.categories[coded[name]]})
        else:
            values = problem.X[problem.train, k]
            features.append(
                {"name": name, "type": "float", "min": _extreme(values, np.min), "max": _extreme(values, np.max)}
            )
    return features


def _extreme(values: Array, function: Any) -> float | None:
    present = values[np.isfinite(values)]
    return float(function(present)) if present.size else None


def _listed(directory: Path) -> dict[str, dict[str, Any]]:
    # A manifest cannot hold its own digest; sorted, since directories are read in no fixed order.
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / MANIFEST)
    return {
        path.relative_to(directory).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in files
    }


def digest_of(directory: Path) -> str:
    """Return the identity of a written model directory: the sha256 of its manifest."""
    return sha256_bytes((directory / MANIFEST).read_bytes())
