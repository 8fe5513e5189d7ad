"""Codes for missing values and mistakes that a table holds among its numbers."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from almanac.data.propose import Choices, propose
from almanac.data.validate import run_checks
from almanac.usecase import load_text

HEAD = "name: d\ntime: {frequency: 1h}\nsources: [{name: t, type: file, path: t.csv}]\ntargets: [{column: load}]\n"


def found(values: list[float | None], column: str = "{type: float, max_missing: 0.5}") -> list[str]:
    case = load_text(f"{HEAD}columns: {{load: {column}}}\n", "d.yaml")
    times = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(len(values))]
    table = pl.DataFrame({"timestamp": times, "load": pl.Series(values, dtype=pl.Float64)})
    return [finding.message() for finding in run_checks(table, case, None).findings]


def usual(count: int = 400) -> list[float | None]:
    return [100.0 + k * 7 % 31 for k in range(count)]


def test_a_code_for_a_missing_value_is_named_with_its_rows_and_what_to_set() -> None:
    values = usual()
    values[5] = values[50] = values[60] = -999.0
    (message,) = found(values)
    assert message.startswith("column 'load': outliers: 3 values -999, far from all others")
    assert "columns.load.min and validation.out_of_range: 'null'" in message
    assert "row 6 (2020-01-01 05:00:00) -999.0" in message


def test_a_mistake_is_named_beside_a_code() -> None:
    values = usual()
    values[7], values[5], values[50], values[60] = 1e9, 9999.0, 9999.0, 9999.0
    code, mistake = found(values)
    assert "3 values 9999, far from all others" in code and "columns.load.max" in code
    assert "1 value more than 1000 times as far out as the others" in mistake and "row 8" in mistake


@pytest.mark.parametrize(
    "values",
    [
        usual(),
        # A code once or twice, among others like it, in a constant, and a heavy tail.
        [*usual(), -999.0, -999.0],
        [float(k % 2000 - 1000) for k in range(8000)],
        [5.0] * 300 + [7.0] * 3,
        [float(k) ** 3 for k in range(400)],
        [0.0] * 380 + [float(k) for k in range(20)],
        [None, None],
    ],
)
def test_other_numbers_are_no_outliers(values: list[float | None]) -> None:
    assert not [message for message in found(values) if "outliers" in message]


def test_a_declared_range_says_more() -> None:
    values = usual()
    values[5] = values[50] = values[60] = -999.0
    (message,) = found(values, "{type: float, min: 0, max_missing: 0.5}")
    assert "outliers" not in message


def test_a_proposal_is_unsure_of_them(tmp_path: Path) -> None:
    times = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(1500)]
    values = [-999.0 if k % 100 == 7 else 100.0 + k * 7 % 31 for k in range(1500)]
    pl.DataFrame({"time": times, "load": values}).write_csv(tmp_path / "t.csv")
    proposal = propose(tmp_path / "t.csv", tmp_path / "case.yaml", Choices())
    assert any("column 'load': outliers: 15 values -999" in line for line in proposal.unsure)
