"""Three made-up meters with a strong daily season, for candidates of time series."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from almanac.core.files import pretty_json
from almanac.features.preprocess import preprocess
from almanac.training.train import Inputs
from almanac.usecase import UseCase, load_text
from tests.support import small

ROOT = Path(__file__).resolve().parents[2]
FIRST, DAYS = datetime(2020, 1, 1), 160
ETS: dict[str, Any] = {
    "name": "smoothing",
    "kind": "ets",
    "season": "24h",
    "learn_from": 400,
    "fixed": {"model": "ANA"},
}
#: Nominal level and size of the season of each meter.
METERS = {"east": (40.0, 8.0), "north": (20.0, 3.0), "west": (60.0, 12.0)}


def usecase(*candidates: dict[str, Any], **changes: Any) -> UseCase:
    """Return a use case of the meters' load six hours ahead."""
    return load_text(pretty_json(declaration(*candidates, **changes)), "meters")


def declaration(*candidates: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the use case as plain data."""
    return small.data() | {
        "name": "meters",
        "entity": "meter",
        "columns": {"load": {"type": "float", "min": 0, "max": 200, "max_missing": 0.5, "description": "Load"}},
        "sources": [{**small.data()["sources"][0], "read": {"time": {"column": "time"}}}],
        "features": {"items": [{"kind": "value", "group": "lagged", "columns": ["load"]}]},
        "targets": [{"name": "load_6h", "column": "load", "horizon": "6h"}],
        "split": {"test_from": changes.pop("test_from", "2020-05-01")},
        "training": {
            "folds": {"count": 2, "length": "20d"},
            "candidates": list(candidates) or [ETS],
            "intervals": {"level": 0.9, "bins": 2},
        },
        "evaluation": {"season": "24h", "bands": {"edges": [35.0]}},
        "validation": {"staleness": {"max_age": "7d", "as_of": "2020-06-09", "severity": "warning"}},
        **changes,
    }


def table(seed: int = 0) -> pl.DataFrame:
    """Return the meters' loads: a level that wanders, a daily season, noise, and some hours without a value."""
    generator, hours = np.random.default_rng(seed), DAYS * 24
    times = [FIRST + timedelta(hours=hour) for hour in range(hours)]
    parts = []
    for name, (level, size) in METERS.items():
        season = size * np.sin(2 * np.pi * np.arange(hours) / 24) + size / 2 * np.sin(4 * np.pi * np.arange(hours) / 24)
        wander = np.cumsum(generator.normal(0, 0.1, hours))
        load = np.clip(level + season + wander + generator.normal(0, size / 10, hours), 0.5, 199.5)
        load[generator.random(hours) < 0.02] = np.nan
        parts.append(pl.DataFrame({"meter": name, "timestamp": times, "load": load}))
    return pl.concat(parts).with_columns(pl.col("timestamp").cast(pl.Datetime("us")), pl.col("load").fill_nan(None))


def write_project(folder: Path, *candidates: dict[str, Any], **changes: Any) -> Path:
    """Write the use case and its table as a team has them, and return the path of the use case file."""
    table().rename({"timestamp": "time"}).write_csv(folder / "meters.csv", datetime_format="%Y-%m-%dT%H:%M")
    reference = yaml.safe_load((ROOT / "usecases" / "air_quality.yaml").read_text())
    data = declaration(*candidates, governance=reference["governance"], **changes)
    path = folder / "meters.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def inputs(case: UseCase, data: pl.DataFrame, directory: Path) -> Inputs:
    """Return the files that training reads."""
    directory.mkdir(parents=True, exist_ok=True)
    files = Inputs(directory / "features.parquet", directory / "specification.json", directory / "table.parquet")
    data.write_parquet(files.table)
    preprocess(case, files.table, files.features, files.specification)
    return files


def before(day: str) -> pl.Expr:
    """Return the condition of the rows before a day."""
    return pl.col("timestamp") < datetime.fromisoformat(day)
