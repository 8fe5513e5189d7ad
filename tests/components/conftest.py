"""A model in production, really trained on the real series with one quick candidate."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from components.common.files import write_json
from components.preprocessing.task import preprocess
from components.training.train import Inputs, train
from components.usecase import UseCase
from components.usecase.override import load_with
from governance.registry import Registry, collect
from tests.governance.bundles import document_files

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


@pytest.fixture(scope="session")
def production(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """The reference use case with one target, trained, registered and promoted."""
    base = tmp_path_factory.mktemp("production")
    case = load_with(ROOT / "usecases" / "air_quality.yaml", QUICK)
    made = Production(case, str(base / "registry"), base / "valid.parquet", base / "features.parquet")
    beijing.write_parquet(made.table)
    preprocess(case, made.table, made.features, base / "features.json")
    inputs = Inputs(made.features, base / "features.json", made.table)
    train(case, inputs, base / "model", base / "tuning.json", base / "tracking")
    write_json(base / "gate.json", {"passed": True, "rules": []})
    files = {**collect(base / "model", "model"), "gate.json": base / "gate.json"}
    registry = Registry(made.registry)
    registry.register(case.name, files, who="ann", why="first", approval="none")
    registry.attach_documents(case.name, 1, document_files(base / "documents", files), who="ann", why="documented")
    registry.promote(case.name, 1, who="ann", why="better")
    before = os.environ.get("ALMANAC_CACHE")
    os.environ["ALMANAC_CACHE"] = str(ROOT / ".cache")
    yield made
    if before is None:
        del os.environ["ALMANAC_CACHE"]
    else:
        os.environ["ALMANAC_CACHE"] = before
