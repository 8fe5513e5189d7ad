"""A small real world for evaluation and gate: features of the real series, and LightGBM models trained on them."""

import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl

from almanac.core.files import sha256_bytes, write_json
from almanac.model.intervals import Intervals
from almanac.usecase import UseCase
from almanac.usecase.load import load

ROOT = Path(__file__).resolve().parents[2]
WIND = ["NW", "NE", "SE", "cv"]


def usecase(**changes: Any) -> UseCase:
    """The reference use case, with sections replaced."""
    return load(ROOT / "usecases" / "air_quality.yaml").model_copy(update=changes)


def features(series: pl.DataFrame) -> pl.DataFrame:
    """Some features of the series, the truth and the last known value of each target."""
    pm = pl.col("pm25")
    return series.select(
        "timestamp",
        pl.col("timestamp").dt.hour().cast(pl.Float64).alias("hour"),
        pm,
        *(pm.shift(lag).alias(f"pm25_lag_{lag}h") for lag in (1, 2, 3, 6, 12, 24)),
        pm.rolling_mean(24, min_samples=12).alias("pm25_mean_24h"),
        pl.col("dewp", "temp", "pres", "iws"),
        pl.col("cbwd").replace_strict({name: float(code) for code, name in enumerate(WIND)}),
        *(pm.shift(-h).alias(f"y_pm25_{h}h") for h in (1, 6, 24)),
        *(pm.alias(f"last_pm25_{h}h") for h in (1, 6, 24)),
    )


def names(table: pl.DataFrame) -> list[str]:
    """The features of the table."""
    return [name for name in table.columns if name != "timestamp" and not name.startswith(("y_", "last_"))]


def matrix(table: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The features as floats."""
    return table.select(pl.col(names(table)).cast(pl.Float64)).fill_null(float("nan")).to_numpy()


def write_model(
    directory: Path,
    table: pl.DataFrame,
    target: str,
    case: UseCase,
    spec: dict[str, Any] | None = None,
    trees: int = 40,
    intercept: float = 0.0,
) -> None:
    """Train the difference from the last value on the years before 2013, calibrate on 2013, write the directory."""
    X, y = matrix(table), table[f"y_{target}"].fill_null(float("nan")).to_numpy()
    last = table["pm25"].fill_null(float("nan")).to_numpy()
    year = table["timestamp"].dt.year().to_numpy()
    above = case.target(target).above
    if above is not None:
        body, intervals = _classifier(X, y, above, year), None
    else:
        body, intervals = _regression(X, y - last, year), True
    booster = lightgbm.train({**body[0], **_FIXED}, lightgbm.Dataset(*body[1:], feature_name=names(table)), trees)
    files = {"model.bst": booster.model_to_string().encode()}
    described = {"spec": spec or {}, "names": names(table), "fitted": {"categories": {"cbwd": WIND}}}
    files["features.json"] = json.dumps(described).encode()
    linear: dict[str, Any] = {"intercept": intercept, "terms": {"pm25": 1.0}, "fill": {"pm25": 90.0}, "clip": [0, None]}
    files["offset.json"] = json.dumps(linear if intervals else {"link": "logit"}).encode()
    files["signature.json"] = json.dumps({"target": _described(case, target), "inputs": []}).encode()
    if intervals:
        rows = (year == 2013) & np.isfinite(y) & np.isfinite(last)
        prediction = booster.predict(X[rows]) + last[rows]
        files["intervals.json"] = json.dumps(_calibrated(last[rows], y[rows] - prediction).to_json()).encode()
    directory.mkdir(parents=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)
    listed = {name: {"sha256": sha256_bytes(data), "bytes": len(data)} for name, data in files.items()}
    write_json(directory / "manifest.json", {"format": 1, "target": target, "kind": "lightgbm", "files": listed})


def _described(case: UseCase, target: str) -> dict[str, Any]:
    declared = case.target(target)
    return {"name": target, "column": declared.column, "horizon": declared.horizon, "above": declared.above}


_FIXED = {"num_leaves": 15, "learning_rate": 0.1, "num_threads": 1, "verbose": -1, "deterministic": True, "seed": 3}


def _regression(X: Any, y: Any, year: Any) -> tuple[dict[str, Any], Any, Any]:
    rows = (year < 2013) & np.isfinite(y)
    return {"objective": "regression"}, X[rows], y[rows]


def _classifier(X: Any, y: Any, above: float, year: Any) -> tuple[dict[str, Any], Any, Any]:
    rows = (year < 2014) & np.isfinite(y)
    return {"objective": "binary"}, X[rows], (y[rows] > above).astype(float)


def _calibrated(last: Any, residual: Any) -> Intervals:
    edges = np.quantile(last, np.linspace(0, 1, 9)[1:-1])
    place = np.searchsorted(edges, last, side="right")
    low, high = (np.array([np.quantile(residual[place == k], q) for k in range(8)]) for q in (0.05, 0.95))
    nothing = np.zeros(0)
    return Intervals(0.9, "pm25", edges, low, high, (float(low[-1]), float(high[-1])), nothing, nothing, (0.0, None))
