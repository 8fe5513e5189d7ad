"""Batch prediction of Parquet files by the server's own code."""

from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest

from serving.__main__ import main
from tests.support.server import FEATURES, WIND, simple_features


def batch(source: Path, output: Path, model: Path, *more: str) -> int:
    return main(["batch", str(source), str(output), "--model", str(model), *more])


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
    assert batch(raw, tmp_path / "a.parquet", model_dir) == 0
    X = pl.DataFrame(simple_features(beijing)[-2000:], schema=list(FEATURES))
    names = pl.Series("cbwd", [None if np.isnan(code) else WIND[int(code)] for code in X["cbwd"]])
    X.with_columns(names).write_parquet(rows)
    assert batch(rows, tmp_path / "b.parquet", model_dir, "--target", "pm25_6h") == 0
    a, b = pl.read_parquet(tmp_path / "a.parquet").tail(2000), pl.read_parquet(tmp_path / "b.parquet")
    np.testing.assert_allclose(b["pm25_6h_prediction"].to_numpy(), expected, rtol=0, atol=1e-12)
    for column in ("pm25_6h_prediction", "pm25_6h_lower", "pm25_6h_upper", "pm25_6h_signal"):
        assert a[column].to_list() == b[column].to_list()
    assert {"note", "pm25_1h_prediction"} <= set(a.columns)
    assert "pm25_1h_prediction" not in b.columns


def test_a_bad_file_is_named(
    tmp_path: Path, model_dir: Path, beijing: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    X = pl.DataFrame(simple_features(beijing)[-5:], schema=list(FEATURES))
    cases = {
        "missing": (X.drop("temp"), "temp"),
        "text": (X.with_columns(pl.lit("warm").alias("temp")), "temp"),
        "wind": (X.with_columns(pl.lit("up").alias("cbwd")), "'up'"),
        "infinite": (X.with_columns(pl.lit(float("inf")).alias("pres")), "pres"),
        "empty": (X.head(0), "no rows"),
    }
    for name, (table, word) in cases.items():
        path = tmp_path / f"{name}.parquet"
        table.write_parquet(path)
        assert batch(path, tmp_path / "out.parquet", model_dir) == 1
        assert word in capsys.readouterr().err
    (tmp_path / "no.parquet").write_text("no")
    assert batch(tmp_path / "no.parquet", tmp_path / "out.parquet", model_dir) == 1
    assert "Parquet" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()
