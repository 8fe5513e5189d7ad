"""Times in other notations than ISO 8601: what `almanac new` infers, and what the table then holds."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from almanac.core.errors import TableError
from almanac.data.infer import infer
from almanac.data.notations import notation_of
from almanac.data.time_forms import read_times

#: A column's name, its texts, their only format, and the second of the times.
NOTATIONS = [
    ("month", ["2016-01", "2016-02"], "%Y-%m", datetime(2016, 2, 1)),
    ("period", ["2016M01", "2016M12"], "%YM%m", datetime(2016, 12, 1)),
    ("at", ["01/2016", "12/2016"], "%m/%Y", datetime(2016, 12, 1)),
    ("at", ["Jan 2016", "dec 2016"], "%b %Y", datetime(2016, 12, 1)),
    ("at", ["2016 Q1", "2016 q4"], "%Y Q%q", datetime(2016, 10, 1)),
    ("at", ["Q1 2016", "Q3 2016"], "Q%q %Y", datetime(2016, 7, 1)),
    ("at", ["2015-W02", "2020-W53"], "%G-W%V", datetime(2020, 12, 28)),
    ("Year", ["1850", "1851"], "%Y", datetime(1851, 1, 1)),
    ("date", ["20200101", "20200131"], "%Y%m%d", datetime(2020, 1, 31)),
    ("month", ["202001", "202012"], "%Y%m", datetime(2020, 12, 1)),
    ("epoch", ["1709251200", "1709251380"], "epoch_s", datetime(2024, 3, 1, 0, 3)),
    ("time", ["1709251200000", "1709251380000"], "epoch_ms", datetime(2024, 3, 1, 0, 3)),
    ("at", ["5-Jan-2022 13:00", "05-FEB-2022 9:05"], "%d-%b-%Y %H:%M", datetime(2022, 2, 5, 9, 5)),
    ("at", ["Jan 5, 2022", "Feb 28, 2022"], "%b %d, %Y", datetime(2022, 2, 28)),
    ("at", ["2022/1/5 13:00:01", "2022/12/05 09:05:02"], "%Y/%m/%d %H:%M:%S", datetime(2022, 12, 5, 9, 5, 2)),
]


@pytest.mark.parametrize(("name", "texts", "form", "second"), NOTATIONS)
def test_a_notation_with_one_reading_is_recognized(name: str, texts: list[str], form: str, second: datetime) -> None:
    column = pl.Series(name, texts)
    assert notation_of(column) == form
    assert read_times(column, form)[1] == second


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        # A number is a time only where a name says so.
        ("load", ["1850", "1851"]),
        ("id", ["1709251200", "1709251380"]),
        ("year", ["1850", "9999"]),
        ("date", ["20200101", "20201301"]),
        ("at", ["2016 Q1", "2016-02"]),
        ("at", ["2015-W02", "2015-W60"]),
        ("at", [None, None]),
    ],
)
def test_what_is_no_time_has_no_notation(name: str, texts: list[str | None]) -> None:
    assert notation_of(pl.Series(name, texts, dtype=pl.String)) is None


def test_a_quarter_with_a_zero_is_none() -> None:
    assert read_times(pl.Series(["2016 Q01", "2016 Q5"]), "%Y Q%q").null_count() == 2


def test_a_date_that_has_two_readings_is_read_by_the_format_that_a_person_gives(tmp_path: Path) -> None:
    data = b"day,sales\n" + b"".join(f"{day:02}/04/2020,{day}\n".encode() for day in range(1, 13))
    path = tmp_path / "t.csv"
    with pytest.raises(TableError, match="choose by --time-format '%d/%m/%Y' or '%m/%d/%Y'"):
        infer(path, data)
    found = infer(path, data, form="%d/%m/%Y")
    assert found.read.time.column == "day"
    assert found.times[1] == datetime(2020, 4, 2)


def test_a_column_of_dates_goes_before_one_of_years(tmp_path: Path) -> None:
    data = b"year,at,load\n" + b"".join(f"2020,{day}-Jan-2020,{day}\n".encode() for day in range(1, 31))
    assert infer(tmp_path / "t.csv", data).read.time.column == "at"


def test_the_zone_is_open_only_for_a_clock_without_offsets(tmp_path: Path) -> None:
    def is_open(*times: str, name: str = "time") -> bool:
        lines = [name + ",load", *(f"{time},{number}" for number, time in enumerate(times))]
        return infer(tmp_path / "t.csv", "\n".join(lines).encode()).open_zone

    assert is_open("2020-01-01T00:00", "2020-01-01T01:00", "2020-01-01T02:00")
    assert not is_open("2020-01-01", "2020-01-02", "2020-01-03")
    assert not is_open("1709251200", "1709251380", "1709251560")
    # Offsets of two zones at once name neither, and are exact.
    assert not is_open("2020-01-01T00:00+01:00", "2020-01-01T08:00+08:00", "2020-01-01T02:00+01:00")
