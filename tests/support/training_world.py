"""A small real world for training: two years and a half of the real series, few features, small trees."""

import copy
import json
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from almanac.core.files import pretty_json
from almanac.features.preprocess import preprocess
from almanac.training.train import Inputs
from almanac.usecase import UseCase, load_text

ROOT = Path(__file__).resolve().parents[2]

ITEMS: list[dict[str, Any]] = [
    {"kind": "calendar", "group": "temporal", "fields": ["hour"]},
    {"kind": "value", "group": "lagged", "columns": ["pm25", "dewp", "temp", "pres", "iws"]},
    {"kind": "lag", "group": "lagged", "columns": ["pm25"], "lags": ["1h", "2h", "24h"]},
    {"kind": "rolling", "group": "rolling", "columns": ["pm25"], "windows": ["24h"], "statistics": ["mean", "std"]},
]
#: Settings of the reference use case that keep a training short: few features, and intervals without trees.
SMALL = [
    f"features.items={json.dumps(ITEMS)}",
    "evaluation.groups=[]",
    "training.intervals={level: 0.9, bins: 4}",
]
TREES: dict[str, Any] = {
    "kind": "lightgbm",
    "fixed": {"n_estimators": 25, "learning_rate": 0.1, "num_leaves": 8, "subsample": 0.8, "subsample_freq": 1},
    "start": {"min_child_samples": 50},
    "search": {"min_child_samples": {"kind": "integer", "low": 20, "high": 200}},
}
LEVEL: dict[str, Any] = {**TREES, "name": "level", "predict": "level"}
DIFFERENCE: dict[str, Any] = {**TREES, "name": "difference", "predict": "difference"}
HIST: dict[str, Any] = {"name": "hist", "kind": "hist_gradient_boosting", "fixed": {"max_iter": 20}}
RIDGE: dict[str, Any] = {"name": "ridge", "kind": "linear", "predict": "difference", "fixed": {"alpha": 10.0}}
KERNEL: dict[str, Any] = {
    "name": "kernel",
    "kind": "kernel_ridge",
    "predict": "difference",
    "fixed": {"landmarks": 60, "gamma": 0.02, "alpha": 2},
}
MLP: dict[str, Any] = {"name": "mlp", "kind": "mlp", "seeds": 2, "fixed": {"units": 8, "epochs": 2}}
BLEND: dict[str, Any] = {"name": "blend", "kind": "blend", "of": ["level", "difference", "ridge"]}
TARGET: dict[str, Any] = {"name": "pm25_6h", "column": "pm25", "horizon": "6h"}


def usecase(
    *candidates: dict[str, Any],
    targets: list[dict[str, Any]] | None = None,
    more: list[dict[str, Any]] | None = None,
    **training: Any,
) -> UseCase:
    """The reference use case on the years to mid-2012, with these candidates, more features, and small folds."""
    data: dict[str, Any] = yaml.safe_load((ROOT / "usecases" / "air_quality.yaml").read_text())
    data["features"]["items"] = copy.deepcopy([*ITEMS, *(more or [])])
    data["targets"] = copy.deepcopy(targets or [TARGET])
    data["split"] = {"test_from": "2012-01-01", "test_to": "2012-07-01"}
    data["gates"] = [{"rule": "beats_baselines"}]
    data["evaluation"] |= {"groups": [], "repeats": 100}
    data["training"] = {
        "folds": {"count": 2, "length": "150d"},
        "budget": {"trials": 2, "seconds": 600},
        "candidates": [copy.deepcopy(each) for each in candidates],
        **training,
    }
    return load_text(pretty_json(_plain(data)), "training world")


def inputs(case: UseCase, series: pl.DataFrame, directory: Path) -> Inputs:
    """The files that training reads: the real features of the real series until mid-2012."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Inputs(directory / "features.parquet", directory / "specification.json", directory / "table.parquet")
    series.filter(pl.col("timestamp") < pl.datetime(2012, 7, 1)).write_parquet(made.table)
    preprocess(case, made.table, made.features, made.specification)
    return made


def _plain(value: Any) -> Any:
    """Dates as text, as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value
