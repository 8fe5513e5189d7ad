"""Two runs are compared on the rows that both scored, with the same truth."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from almanac.core.files import write_json
from almanac.evaluation.common_rows import metrics_of_all
from orchestration.commands.runs import app


def rows(first: int, stop: int, error: float) -> pl.DataFrame:
    """Hours of a day whose forecasts are too high by `error`."""
    y = np.arange(first, stop, dtype=np.float64)
    time = [datetime(2014, 1, 1, hour) for hour in range(first, stop)]
    columns = {"timestamp": time, "target": ["load_1h"] * y.size, "y": y, "prediction": y + error}
    return pl.DataFrame({**columns, "lower": y, "upper": y + 1.0})


def test_figures_are_of_the_rows_in_common() -> None:
    ours = rows(0, 12, 1.0).with_columns(prediction=pl.when(pl.col("y") < 6).then(99.0).otherwise("prediction"))
    count, (first, second) = metrics_of_all([ours, rows(6, 18, 2.0)], classification=False)
    assert count == 6
    assert (first["rmse"], second["rmse"]) == pytest.approx((1.0, 2.0))
    assert (first["bias"], first["coverage"]) == pytest.approx((1.0, 1.0))


def test_a_row_with_another_truth_is_another_row() -> None:
    corrected = rows(0, 12, 1.0).with_columns(y=pl.when(pl.col("y") < 4).then(-1.0).otherwise("y"))
    assert metrics_of_all([rows(0, 12, 1.0), corrected], classification=False)[0] == 8


def _run(folder: Path, table: pl.DataFrame, rmse: float) -> str:
    folder.mkdir()
    entry = {"task": "regression", "rmse": rmse, "n": table.height}
    write_json(folder / "metrics.json", {"use_case": "demo", "targets": {"load_1h": entry}})
    table.write_parquet(folder / "predictions.parquet")
    return str(folder)


def test_the_command_never_sets_figures_of_other_rows_side_by_side(tmp_path: Path) -> None:
    """The stored errors are of other months, and are not shown."""
    first, second = _run(tmp_path / "a", rows(0, 12, 1.0), 77.0), _run(tmp_path / "b", rows(6, 18, 2.0), 88.0)
    told = CliRunner().invoke(app, ["compare", first, second], catch_exceptions=False).output
    assert told.startswith("load_1h (6 rows, in common)")
    [line] = [line.split() for line in told.splitlines() if line.startswith("  rmse")]
    assert line == ["rmse", "1", "2", "+1"]
    apart = _run(tmp_path / "c", rows(18, 24, 1.0), 99.0)
    told = CliRunner().invoke(app, ["compare", first, apart], catch_exceptions=False).output
    assert told.strip() == "load_1h (no row in common)"
