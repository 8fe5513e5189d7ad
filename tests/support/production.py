"""A model in production, really trained on the real series with one quick candidate."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest

from almanac.core.files import read_json, sha256_file, write_json
from almanac.model.directory import LOSS, MANIFEST, REFERENCE
from almanac.usecase import UseCase
from almanac.usecase.override import load_with
from governance.registry import Registry, collect
from tests.support.bundles import document_files
from tests.support.shared import made_once

ROOT = Path(__file__).resolve().parents[2]
QUICK = [
    "targets=[{name: pm25_6h, column: pm25, horizon: 6h}]",
    "training.candidates=[{name: ridge, kind: linear, predict: difference, fixed: {alpha: 1000.0}}]",
    "training.choose={metric: rmse}",
    "training.budget.trials=1",
    "gates=[{rule: beats_baselines, metric: rmse}]",
    "evaluation.repeats=100",
    "drift.policy={breaches: 2, of: 3, action: ask, retrain_window: 1460d}",
]


@dataclass(frozen=True)
class Production:
    """A use case with a version in production.

    Attributes:
        case: the use case.
        registry: address of the registry.
        table: the validated table.
        features: its features and targets.
    """

    case: UseCase
    registry: str
    table: Path
    features: Path


def promote(case: UseCase, base: Path, model: Path, registry: str) -> None:
    """Register a model directory with the gate and figures in `base`, and put it in production."""
    # The gate reads from the tuning's record which rows a registered version has learned from.
    files = {**collect(model, "model"), **{name: base / name for name in ("gate.json", "metrics.json", "tuning.json")}}
    known = Registry(registry)
    known.register(case.name, files, who="ann", why="first", approval="none")
    known.attach_documents(case.name, 1, document_files(Path(registry) / "papers", files), who="ann", why="documented")
    known.promote(case.name, 1, who="ann", why="better")


def two_versions(production: Production, base: Path) -> str:
    """Make a registry with the version in production and a second one that may be promoted; return its address."""
    from almanac.training.train import Inputs, train

    shutil.copytree(production.registry, base / "registry")
    other = "training.candidates=[{name: ridge, kind: linear, predict: difference, fixed: {alpha: 10.0}}]"
    case = load_with(ROOT / "usecases" / "air_quality.yaml", [*QUICK, other])
    inputs = Inputs(production.features, production.features.with_name("features.json"), production.table)
    train(case, inputs, base / "model", base / "tuning.json")
    write_json(base / "gate.json", {"passed": True, "rules": []})
    files = {**collect(base / "model", "model"), "gate.json": base / "gate.json"}
    registry = Registry(str(base / "registry"))
    registry.register(case.name, files, who="ann", why="second", approval="none")
    registry.attach_documents(case.name, 2, document_files(base / "documents", files), who="ann", why="documented")
    return str(base / "registry")


@pytest.fixture(scope="session")
def earlier(production: Production, tmp_path_factory: pytest.TempPathFactory) -> Production:
    """The same version as an earlier release wrote it: no reference of its outputs, no model of its errors."""
    base = tmp_path_factory.mktemp("earlier")
    case, source = production.case, Path(production.registry).parent
    model = base / "model"
    shutil.copytree(source / "model", model)
    for target in case.targets:
        directory = model / target.name
        reference = read_json(directory / REFERENCE)
        del reference["outputs"]
        write_json(directory / REFERENCE, reference)
        (directory / LOSS).unlink()
        _list_again(directory)
    _list_again(model)
    promote(case, source, model, str(base / "registry"))
    return replace(production, registry=str(base / "registry"))


def _list_again(directory: Path) -> None:
    manifest = read_json(directory / MANIFEST)
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and path != directory / MANIFEST]
    manifest["files"] = {
        path.relative_to(directory).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in files
    }
    write_json(directory / MANIFEST, manifest)


def _train(case: UseCase, beijing: pl.DataFrame, base: Path) -> None:
    # Imported here, since every run of a single test imports this module.
    from almanac.evaluation.evaluate import evaluate
    from almanac.features.preprocess import preprocess
    from almanac.training.train import Inputs, train

    inputs = Inputs(base / "features.parquet", base / "features.json", base / "valid.parquet")
    beijing.write_parquet(inputs.table)
    preprocess(case, inputs.table, inputs.features, inputs.specification)
    train(case, inputs, base / "model", base / "tuning.json")
    write_json(base / "gate.json", {"passed": True, "rules": []})
    evaluate(case, inputs.features, base / "model", base)


@pytest.fixture(scope="session")
def production(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """The reference use case with one target, trained, registered and promoted."""
    case = load_with(ROOT / "usecases" / "air_quality.yaml", QUICK)
    trained = made_once(tmp_path_factory, "trained_production", lambda base: _train(case, beijing, base))
    base = tmp_path_factory.mktemp("production")
    shutil.copytree(trained, base, dirs_exist_ok=True)
    made = Production(case, str(base / "registry"), base / "valid.parquet", base / "features.parquet")
    promote(case, base, base / "model", made.registry)
    before = os.environ.get("ALMANAC_CACHE")
    os.environ["ALMANAC_CACHE"] = str(ROOT / ".cache")
    yield made
    if before is None:
        del os.environ["ALMANAC_CACHE"]
    else:
        os.environ["ALMANAC_CACHE"] = before
