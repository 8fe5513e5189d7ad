"""Messages on tables quote their values unchanged, and name the row that is at fault."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from almanac.core.errors import TableError
from almanac.data.checks._finding import Finding
from almanac.data.validate import refuse_errors, run_checks
from almanac.usecase import UseCase, load_text

CASE = """
name: demand
time: {frequency: 5min}
sources: [{name: t, type: file, path: t.csv}]
targets: [{column: load}]
columns: {load: {type: float}}
"""


def case(entity: str = "") -> UseCase:
    return load_text(CASE + (f"entity: {entity}\n" if entity else ""), "demand.yaml")


def series(count: int = 3000) -> pl.DataFrame:
    times = [datetime(2020, 1, 1) + k * timedelta(minutes=5) for k in range(count)]
    return pl.DataFrame({"timestamp": times, "load": [float(k % 7) for k in range(count)]}).with_columns(
        pl.col("timestamp").cast(pl.Datetime("us"))
    )


def test_an_entity_keeps_its_letters() -> None:
    row = {"row": 3, "entity": "Team T", "time": "2020-01-01T05:00:00", "value": 1.5}
    finding = Finding("error", "range", "load", 1, "1 value below 2", (row,))
    assert "row 3 (Team T 2020-01-01 05:00:00) 1.5" in finding.message()


@pytest.mark.parametrize("entity", ["", "zone"])
@pytest.mark.parametrize(("row", "moved"), [(2999, datetime(2124, 1, 1)), (0, datetime(1920, 1, 1))])
def test_a_stray_date_is_refused_with_its_row(entity: str, row: int, moved: datetime) -> None:
    table = series()
    table = table.with_columns(timestamp=pl.when(pl.int_range(pl.len()) == row).then(moved).otherwise("timestamp"))
    if entity:
        other = series().with_columns(zone=pl.lit("north"))
        table = pl.concat([other, table.with_columns(zone=pl.lit("south"))])
        row += 3000
    found = run_checks(table, case(entity), None)
    with pytest.raises(TableError, match=rf"stretch: 1 row far from every other row.*first: row {row + 1} \(.*{moved}"):
        refuse_errors(found, case(entity))


def test_a_series_with_long_gaps_is_none() -> None:
    table = series().filter(pl.col("timestamp").dt.day() % 5 == 0)
    assert not [one for one in run_checks(table, case(), None).findings if one.severity == "error"]
