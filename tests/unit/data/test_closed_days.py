"""Validation of tables on open days: a holiday is no gap, a row on a Saturday is a finding."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import TableError
from almanac.data.checks.gaps import find_gaps
from almanac.data.join import join
from almanac.data.resample import resample
from almanac.data.validate import run_checks, validate
from almanac.data.validation_result import ValidationResult
from almanac.usecase.shape_section import Resample
from tests.support import small
from tests.support.open_days import rows, usecase

CASE = usecase(entity=None)


def checked(table: pl.DataFrame) -> ValidationResult:
    return run_checks(table.select("timestamp", "load"), CASE, None)


def whole(days: int = 60) -> pl.DataFrame:
    """Every open day from Tuesday 2 January 2018 on; 15 January and 19 February are holidays."""
    grid, start = CASE.time.grid, datetime(2018, 1, 2)
    times = pl.Series("timestamp", [start + timedelta(days=day) for day in range(days)], dtype=pl.Datetime("us"))
    table = pl.DataFrame([times, pl.Series("load", [float(day % 9) for day in range(days)])])
    return table.filter(pl.Series(grid.is_open(times.to_physical().to_numpy())))


def test_weekends_and_holidays_are_no_gaps() -> None:
    result = checked(whole())
    assert not result.findings
    assert result.grid is not None
    assert result.grid.height == whole().height == 42


def test_a_missing_open_day_is_a_gap_and_becomes_a_row() -> None:
    # From Friday 12 to Wednesday 17 January: the Monday is a holiday, the Tuesday is missing.
    table = whole().filter(pl.col("timestamp") != datetime(2018, 1, 16))
    result = checked(table)
    (gap,) = find_gaps(table, CASE)
    assert (gap.start, gap.end, gap.steps) == (datetime(2018, 1, 16), datetime(2018, 1, 16), 1)
    assert result.grid is not None
    assert result.grid["timestamp"].equals(whole()["timestamp"])
    assert result.grid["load"].null_count() == 1


def test_a_gap_across_a_weekend_names_open_days() -> None:
    table = whole().filter(~pl.col("timestamp").is_between(datetime(2018, 1, 5), datetime(2018, 1, 9)))
    (gap,) = find_gaps(table, CASE)
    assert (gap.start, gap.end, gap.steps) == (datetime(2018, 1, 5), datetime(2018, 1, 9), 3)


def test_a_row_on_a_closed_day_is_a_finding() -> None:
    stray = pl.DataFrame({"timestamp": [datetime(2018, 1, 6)], "load": [1.0]}).cast({"timestamp": pl.Datetime("us")})
    table = pl.concat([whole(), stray]).sort("timestamp")
    result = checked(table)
    (finding,) = result.findings
    assert (finding.severity, finding.rule, finding.count) == ("error", "closed", 1)
    assert "1 row on days that the calendar XNYS has closed" in finding.message()
    assert "row 5" in finding.message()


def test_an_empty_row_on_a_closed_day_is_no_row() -> None:
    empty = pl.DataFrame({"timestamp": [datetime(2018, 1, 6)], "load": [None]})
    table = pl.concat([whole(), empty.cast({"timestamp": pl.Datetime("us"), "load": pl.Float64})]).sort("timestamp")
    result = checked(table)
    assert not result.findings
    assert result.grid is not None
    assert result.grid.height == 42


def test_the_report_counts_open_days(tmp_path: Path) -> None:
    whole().write_parquet(tmp_path / "raw.parquet")
    record = validate(CASE, tmp_path / "raw.parquet", tmp_path / "valid.parquet", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert (record["rows"], record["inserted"]) == (42, 0)
    assert "One row for every open day of the calendar, without a gap." in page
    assert "steps are counted in the open days of the calendar XNYS" in page
    gappy = rows(usecase())
    gappy.write_parquet(tmp_path / "raw.parquet")
    assert validate(usecase(), tmp_path / "raw.parquet", tmp_path / "v.parquet", tmp_path / "r.html")["inserted"] > 0


def test_empty_days_that_are_gathered_are_open_ones() -> None:
    terms = Resample(every="1d", columns={"load": "sum"}, empty="zero")
    sold = whole().filter(pl.col("timestamp").dt.weekday() != 3)
    full = resample(sold, terms, "timestamp", None, "sales", CASE.time.grid)
    assert full["timestamp"].equals(whole()["timestamp"])
    assert full.filter(pl.col("timestamp").dt.weekday() == 3)["load"].unique().to_list() == [0.0]


def test_what_is_known_ahead_is_that_of_the_next_open_day() -> None:
    plans: dict[str, Any] = {"join": {"tolerance": "0h", "ahead": "1d"}, "name": "plans"}
    columns = {"load": {"type": "float", "description": "Load"}, "plan": {"type": "float", "description": "Plan"}}
    case = usecase(entity=None, sources=[small.source(), {**small.source(), **plans}], columns=columns)
    plan = whole().select("timestamp", plan=pl.col("timestamp").dt.day().cast(pl.Float64))
    joined = join([(case.sources[0], whole()), (case.sources[1], plan)], case)
    known = dict(joined.select("timestamp", "plan").iter_rows())
    assert known[datetime(2018, 1, 5)] == 8.0
    assert known[datetime(2018, 1, 12)] == 16.0


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ({"frequency": "1h", "calendar": "weekdays"}, "time.calendar: needs a step of a day; time.frequency is 1h"),
        ({"frequency": "1d", "calendar": "weekdays", "zone": "Europe/Berlin"}, "time.zone: the days of time.calendar"),
        ({"frequency": "1d", "calendar": "workdays"}, "'workdays' is no calendar; write weekdays, or a mapping"),
        ({"frequency": "1d", "calendar": {"exchange": "NOWHERE"}}, "the library holidays knows no such calendar"),
        ({"frequency": "1d", "calendar": {"weekdays": ["monday"]}}, "time.calendar.weekdays.0: "),
        ({"frequency": "1d", "calendar": {"exchnage": "XNYS"}}, "time.calendar.exchnage: unknown field"),
    ],
)
def test_calendars_that_cannot_be(time: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match="small") as caught:
        usecase(time={"column": "timestamp", **time})
    assert message in str(caught.value)


def test_the_word_weekdays_is_monday_to_friday() -> None:
    calendar = usecase(calendar="weekdays").time.calendar
    assert calendar is not None
    assert (calendar.weekdays, calendar.name) == (["mon", "tue", "wed", "thu", "fri"], "Monday to Friday")


def test_a_closed_day_stops_the_run(tmp_path: Path) -> None:
    stray = pl.DataFrame({"timestamp": [datetime(2018, 1, 6)], "load": [1.0]}).cast({"timestamp": pl.Datetime("us")})
    pl.concat([whole(), stray]).sort("timestamp").write_parquet(tmp_path / "raw.parquet")
    with pytest.raises(TableError, match=r"breaks 1 of its rules:\n.*closed"):
        validate(CASE, tmp_path / "raw.parquet", tmp_path / "valid.parquet", tmp_path / "report.html")
