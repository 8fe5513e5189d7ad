"""Writing of the model directory."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from almanac.core.files import sha256_bytes, sha256_file, whole_directory, write_bytes, write_json
from almanac.features import FeatureSpec
from almanac.features.nodes import Pick
from almanac.model.forecaster import FORMAT, LOSS, MANIFEST, REFERENCE
from almanac.model.intervals import Intervals
from almanac.model.lightgbm_export import booster_of
from almanac.model.lightgbm_merge import merge
from almanac.model.skops_io import write_estimator
from almanac.training.dataset import Problem
from almanac.training.fitted import Array, Fitted
from almanac.training.reference import Frozen
from almanac.usecase import UseCase, digest
from almanac.usecase.data_section import Column

#: Rows on which a translated model is compared with the original.
_COMPARED = 5_000

_LIBRARIES = ("lightgbm", "numpy", "polars", "scikit-learn", "scipy", "skops", "optuna")


@dataclass(frozen=True)
class Provenance:
    """What made a model, for its manifest.

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
    """Everything that goes into one target's directory."""

    problem: Problem
    fitted: Fitted
    intervals: Intervals | None
    frozen: Frozen
    clip: tuple[float | None, float | None]


def clip_of(usecase: UseCase, problem: Problem) -> tuple[float | None, float | None]:
    """Return the bounds that a forecast is kept within: those that the use case declares for the column."""
    if problem.classification:
        return (None, None)
    column = usecase.columns[problem.target.column]
    return (column.min, column.max)


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
        directory: where to.
        usecase: the use case.
        specification: content of features.json: spec, names, fitted.
        models: the models, one a target.
        provenance: what made them.
        extra: further files of the whole, by name.
    """
    common = {
        "format": FORMAT,
        "use_case": usecase.name,
        "use_case_digest": digest(usecase),
        "data_digest": provenance.data_digest,
        "features_digest": provenance.features_digest,
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
        write_json(aside / MANIFEST, manifest)
    return manifest


def _write_target(
    directory: Path, usecase: UseCase, specification: dict[str, Any], model: TargetModel, common: dict[str, Any]
) -> None:
    problem, fitted = model.problem, model.fitted
    link = "logit" if problem.classification else "identity"
    if fitted.estimator is not None:
        write_bytes(directory / "model.skops", write_estimator(fitted.estimator))
    write_bytes(directory / "model.bst", booster_text(fitted, problem).encode())
    clip = {"clip": list(model.clip)} if model.clip != (None, None) else {}
    write_json(directory / "offset.json", {**fitted.linear.to_json(problem.names, link), **clip})
    write_json(directory / "features.json", specification)
    if model.intervals is not None:
        write_json(directory / "intervals.json", model.intervals.to_json())
    write_json(directory / "signature.json", signature(usecase, specification, problem, model.intervals is not None))
    write_json(directory / REFERENCE, model.frozen.reference)
    if model.frozen.loss is not None:
        write_json(directory / LOSS, model.frozen.loss.to_json())
    kind = "lightgbm" if fitted.estimator is None else "sklearn"
    write_json(
        directory / MANIFEST,
        {**common, "target": problem.target.name, "kind": kind, "files": _listed(directory)},
    )


def booster_text(fitted: Fitted, problem: Problem) -> str:
    """Return the one booster of a model; a purely linear model gets one of a single leaf of zero."""
    if fitted.estimator is not None:
        template = _stump(problem).model_to_string(num_iteration=-1)
        return booster_of(fitted.estimator, template, problem.X[np.flatnonzero(problem.train)[:_COMPARED]])
    boosters = fitted.boosters or [(0.0, _stump(problem))]
    return merge(boosters)


def _stump(problem: Problem) -> lightgbm.Booster:
    rows = np.flatnonzero(problem.known)[:100]
    data = lightgbm.Dataset(problem.X[rows], np.zeros(rows.size), feature_name=problem.names)
    return lightgbm.train({"objective": "regression", "num_threads": 1, "verbose": -1}, data, 1)


def signature(usecase: UseCase, specification: dict[str, Any], problem: Problem, intervals: bool) -> dict[str, Any]:
    """Return the input and output schema of a target's model."""
    target = problem.target
    unit = "" if problem.classification else usecase.columns[target.column].unit
    task = {"task": target.task, "above": target.above}
    decision = target.decision or (None if problem.classification else usecase.serving.decision)
    return {
        "target": {"name": target.name, "column": target.column, "horizon": target.horizon, "unit": unit, **task},
        "inputs": _inputs(usecase),
        "features": _features(FeatureSpec.model_validate(specification["spec"]), problem),
        "outputs": [
            {"name": name, "type": "float", "unit": unit}
            for name in (["prediction", "lower", "upper"] if intervals else ["prediction"])
        ],
        "out_of_range": usecase.serving.out_of_range,
        "as_of": _present(usecase),
        "decision": None if decision is None else {"thresholds": decision.thresholds, "names": decision.names},
    }


def _present(usecase: UseCase) -> str | None:
    """Return the time that stands for the present where the data are an archive, None where the clock does."""
    staleness = usecase.validation.staleness
    return None if staleness is None or staleness.as_of == "now" else staleness.as_of


def _inputs(usecase: UseCase) -> list[dict[str, Any]]:
    keys = [{"name": usecase.time.column, "type": "timestamp", "unit": None, "nullable": False}]
    if usecase.entity:
        keys.insert(0, {"name": usecase.entity, "type": "category", "unit": None, "nullable": False})
    empty = {"min": None, "max": None, "categories": None}
    return [{**key, **empty} for key in keys] + [_input(name, column) for name, column in usecase.columns.items()]


def _input(name: str, column: Column) -> dict[str, Any]:
    return {
        "name": name,
        "type": column.type,
        "unit": column.unit,
        "min": column.min,
        "max": column.max,
        "categories": column.categories,
        "nullable": column.max_missing > 0,
    }


def _features(spec: FeatureSpec, problem: Problem) -> list[dict[str, Any]]:
    """Return name and type of each feature, with the range of a number or the names of a category's codes."""
    coded = {node.name: node.column for node in spec.nodes if type(node) is Pick and node.column in spec.categories}
    found: list[dict[str, Any]] = []
    for k, name in enumerate(problem.names):
        if name in coded:
            found.append({"name": name, "type": "category", "categories": spec.categories[coded[name]]})
        else:
            values = problem.X[problem.train, k]
            found.append(
                {"name": name, "type": "float", "min": _extreme(values, np.min), "max": _extreme(values, np.max)}
            )
    return found


def _extreme(values: Array, function: Any) -> float | None:
    present = values[np.isfinite(values)]
    return float(function(present)) if present.size else None


def _listed(directory: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / MANIFEST)
    return {
        path.relative_to(directory).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in files
    }


def digest_of(directory: Path) -> str:
    """Return the identity of a written model directory: the sha256 of its manifest."""
    return sha256_bytes((directory / MANIFEST).read_bytes())
