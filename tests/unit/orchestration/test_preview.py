"""Forecasts in a terminal."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from almanac.reports.numbers import with_error
from almanac.usecase import load_text
from orchestration.preview import preview, sparkline

CASE = "name: d\ntime: {frequency: 1h}\nsources: [{name: t, type: file, path: t.csv}]\ntargets: [{column: load}]\n"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([0.0, 1.0, 2.0, 7.0], "▁▂▃█  0 to 7"),
        ([3.0, 3.0], "▁▁  3 to 3"),
        ([1.0, None, 2.0], "▁ █  1 to 2"),
        ([None, float("nan")], ""),
        ([], ""),
    ],
)
def test_a_line_of_bars(values: list[float | None], line: str) -> None:
    assert sparkline(values) == line


def test_a_table_of_the_newest_rows_and_a_line(tmp_path: Path) -> None:
    times = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(30)]
    rows = {"zone": ["a", "b"] * 15, "timestamp": times, "target": ["load_1h"] * 30}
    table = pl.DataFrame(rows | {"prediction": [float(k) for k in range(30)]}).with_columns(
        lower=pl.col("prediction") - 1, upper=pl.col("prediction") + 1, signal=pl.lit(None, pl.String)
    )
    table.write_parquet(tmp_path / "p.parquet")
    lines = list(preview(tmp_path / "p.parquet", load_text(CASE + "entity: zone\n", "d.yaml")))
    assert lines[0] == "  zone b, one of 2"
    assert lines[1] == "  load_1h, 1h after timestamp"
    assert lines[2].split() == ["timestamp", "prediction", "lower", "upper"]
    assert lines[-2].split() == ["2020-01-02", "05:00", "29", "28", "30"]
    assert lines[-1].endswith("1 to 29")
    # A single forecast has no course to draw.
    table.tail(1).write_parquet(tmp_path / "p.parquet")
    assert len(list(preview(tmp_path / "p.parquet", load_text(CASE + "entity: zone\n", "d.yaml")))) == 4


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (20.03642, [17.47, 22.57], "20.0"),
        (1234.5678, [1100.0, 1300.0], "1,230"),
        (0.123456, [0.1204, 0.1262], "0.1235"),
        (0.123456, None, "0.123"),
        (0.0, None, "0.00"),
        (5.0, [5.0, 5.0], "5.00"),
    ],
)
def test_digits_are_those_that_the_error_allows(value: float, interval: list[float] | None, text: str) -> None:
    assert with_error(value, interval) == text
