"""Batch prediction of Parquet files."""

import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest

from almanac.core.errors import TableError
from almanac.model.batch import predict_file
from almanac.model.bundle import load_bundle
from tests.support.server import FEATURES, WIND, simple_features

ROOT = Path(__file__).resolve().parents[3]


def batch(source: Path, output: Path, model: Path, target: str | None = None) -> int:
    return predict_file(load_bundle(model), source, output, target)


@pytest.fixture(scope="module")
def expected(model_dir: Path, beijing: pl.DataFrame) -> np.ndarray:
    X = simple_features(beijing)[-2000:]
    booster = lightgbm.Booster(model_file=str(model_dir / "pm25_6h" / "model.bst"))
    last = np.where(np.isfinite(X[:, 0]), X[:, 0], 98.0)
    found: np.ndarray = np.clip(np.asarray(booster.predict(X, num_threads=1)) + last, 0.0, None)
    return found


def test_raw_columns_and_features_give_the_same(
    tmp_path: Path, model_dir: Path, beijing: pl.DataFrame, expected: np.ndarray
) -> None:
    raw, rows = tmp_path / "raw.parquet", tmp_path / "rows.parquet"
    beijing.tail(2200).with_columns(pl.lit(1).alias("note")).write_parquet(raw)
    assert batch(raw, tmp_path / "a.parquet", model_dir) == 2200
    X = pl.DataFrame(simple_features(beijing)[-2000:], schema=list(FEATURES))
    names = pl.Series("cbwd", [None if np.isnan(code) else WIND[int(code)] for code in X["cbwd"]])
    X.with_columns(names).write_parquet(rows)
    assert batch(rows, tmp_path / "b.parquet", model_dir, "pm25_6h") == 2000
    a, b = pl.read_parquet(tmp_path / "a.parquet").tail(2000), pl.read_parquet(tmp_path / "b.parquet")
    np.testing.assert_allclose(b["pm25_6h_prediction"].to_numpy(), expected, rtol=0, atol=1e-12)
    for column in ("pm25_6h_prediction", "pm25_6h_lower", "pm25_6h_upper", "pm25_6h_signal"):
        assert a[column].to_list() == b[column].to_list()
    assert {"note", "pm25_1h_prediction"} <= set(a.columns)
    assert "pm25_1h_prediction" not in b.columns


def test_a_bad_file_is_named(tmp_path: Path, model_dir: Path, beijing: pl.DataFrame) -> None:
    X = pl.DataFrame(simple_features(beijing)[-5:], schema=list(FEATURES))
    cases = {
        "missing": (X.drop("temp"), "missing column temp"),
        "text": (X.with_columns(pl.lit("warm").alias("temp")), "column temp is of type String; expected numbers"),
        "wind": (X.with_columns(pl.lit("up").alias("cbwd")), "row 0, cbwd: 'up' is none of NW"),
        "infinite": (X.with_columns(pl.lit(float("inf")).alias("pres")), "row 0, pres: inf is not a finite number"),
        "empty": (X.head(0), "no rows"),
    }
    for name, (table, message) in cases.items():
        path = tmp_path / f"{name}.parquet"
        table.write_parquet(path)
        with pytest.raises(TableError, match=f"{name}.parquet: {message}"):
            batch(path, tmp_path / "out.parquet", model_dir)
    (tmp_path / "no.parquet").write_text("no")
    with pytest.raises(TableError, match="cannot be read as Parquet"):
        batch(tmp_path / "no.parquet", tmp_path / "out.parquet", model_dir)
    with pytest.raises(TableError, match="there is no target pm25_9h; use one of pm25_1h, pm25_6h"):
        batch(path, tmp_path / "out.parquet", model_dir, "pm25_9h")
    assert not (tmp_path / "out.parquet").exists()


def test_the_command_predicts_a_file(tmp_path: Path, model_dir: Path, beijing: pl.DataFrame) -> None:
    beijing.tail(300).write_parquet(tmp_path / "raw.parquet")
    words = ["pipeline.py", "batch", "raw.parquet", "out.parquet", "--model", str(model_dir)]
    command = [sys.executable, str(ROOT / words[0]), *words[1:]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "300 rows predicted by " in done.stdout
    assert pl.read_parquet(tmp_path / "out.parquet").height == 300
