from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from almanac.core.errors import TableError
from almanac.data.join import join
from tests.support import small

START = datetime(2020, 1, 1)
MINUTE = timedelta(minutes=1)

WEATHER = small.source(name="weather", path="weather.csv", join={"tolerance": "2h"})
COLUMNS = small.data()["columns"] | {
    "temp": {"type": "float", "description": "Temperature", "max_missing": 1.0},
}


def joined(base: Path, weather: str, meters: str = small.CSV, **changes: Any) -> pl.DataFrame:
    (base / "weather.csv").write_text(weather)
    sources = [small.source(), WEATHER | changes.pop("weather_source", {})]
    return small.take_csv(meters, base, sources=sources, columns=COLUMNS, **changes)


def test_the_newest_row_at_or_before_each_time_within_the_tolerance(tmp_path: Path) -> None:
    weather = "time,temp\n2019-12-31T21:00,1\n2019-12-31T22:30,2\n2020-01-01T01:00,3\n2020-01-01T01:01,4\n"
    assert joined(tmp_path, weather)["temp"].to_list() == [2.0, 3.0, 4.0, 4.0]


def test_a_row_older_than_the_tolerance_is_not_used_and_a_missing_value_is_not_skipped(tmp_path: Path) -> None:
    weather = "time,temp\n2020-01-01T00:00,1\n2020-01-01T01:00,\n"
    assert joined(tmp_path, weather)["temp"].to_list() == [1.0, None, None, None]


def test_the_first_source_keeps_its_rows_and_their_order(tmp_path: Path) -> None:
    lines = small.CSV.splitlines()
    meters = "\n".join([lines[0], *reversed(lines[1:]), lines[2]]) + "\n"
    table = joined(tmp_path, "time,temp\n2020-01-01T01:00,3\n", meters)
    assert [time.hour for time in table["timestamp"]] == [3, 2, 1, 0, 1]
    assert table["temp"].to_list() == [3.0, 3.0, 3.0, None, 3.0]
    assert table.columns == ["timestamp", "load", "kind", "temp"]


@pytest.mark.parametrize(
    ("weather", "message"),
    [
        ("time,temp,load\n2020-01-01,1,2\n", "sources.weather: column 'load' comes from an earlier source too"),
        ("time,temp\n2020-01-02,1\n2020-01-01,1\n", r"sources.weather: time runs backwards at 1 row, first: row 2"),
        ("time,temp\n2020-01-01,1\n2020-01-01,2\n", r"sources.weather: 2 rows share their timestamp with another"),
        ("time\n2020-01-01\n", r"column 'temp' is declared, and missing from every source \(meters, weather\)"),
    ],
)
def test_a_joined_source_that_breaks_a_rule(tmp_path: Path, weather: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        joined(tmp_path, weather)


def test_disorder_and_duplicates_of_a_joined_source_follow_the_rules(tmp_path: Path) -> None:
    weather = "time,temp\n2020-01-01T02:00,5\n2020-01-01T00:00,1\n2020-01-01T00:00,2\n"
    for keep, temp in (("keep_first", 1.0), ("keep_last", 2.0)):
        table = joined(tmp_path, weather, validation={"duplicates": keep, "unsorted": "sort"})
        assert table["temp"].to_list() == [temp, temp, 5.0, 5.0]


def test_entities_are_joined_apart_unless_they_share_the_source(tmp_path: Path) -> None:
    meters = "time,site,load,kind\n2020-01-01T00:00,x,1,a\n2020-01-01T00:00,y,2,b\n"
    by_site = "time,site,temp\n2020-01-01T00:00,x,10\n2020-01-01T00:00,y,20\n"
    assert joined(tmp_path, by_site, meters, entity="site")["temp"].to_list() == [10.0, 20.0]
    shared = "time,temp\n2020-01-01T00:00,30\n"
    terms = {"join": {"tolerance": "1h", "by_entity": False}}
    assert joined(tmp_path, shared, meters, entity="site", weather_source=terms)["temp"].to_list() == [30.0, 30.0]
    with pytest.raises(TableError, match=r"sources.weather: the entity column 'site' is missing; where all entities"):
        joined(tmp_path, shared, meters, entity="site")
    with pytest.raises(TableError, match=r"sources.meters: the entity column 'site' is missing"):
        joined(tmp_path, by_site, entity="site")


minutes = st.integers(0, 300)
rows = st.lists(st.tuples(minutes, st.sampled_from("xyz")), min_size=1, max_size=25, unique=True)


@settings(max_examples=60, deadline=None)
@given(left=rows, right=rows, tolerance=st.integers(0, 120))
def test_a_join_never_looks_ahead(left: list[tuple[int, str]], right: list[tuple[int, str]], tolerance: int) -> None:
    case = small.usecase(
        entity="site",
        sources=[small.source(), WEATHER | {"join": {"tolerance": f"{tolerance}min"}}],
        columns=COLUMNS,
        validation={"unsorted": "sort"},
    )
    first = _table(left).with_columns(load=pl.lit(1.0), kind=pl.lit("a"))
    second = _table(right).with_row_index("temp").with_columns(pl.col("temp").cast(pl.Float64))
    table = join([(case.sources[0], first), (case.sources[1], second)], case)
    for (minute, site), got in zip(left, table["temp"].to_list(), strict=True):
        usable = [(m, i) for i, (m, s) in enumerate(right) if s == site and minute - tolerance <= m <= minute]
        assert got == (float(max(usable)[1]) if usable else None)


def _table(keys: list[tuple[int, str]]) -> pl.DataFrame:
    times = pl.Series("timestamp", [START + minute * MINUTE for minute, _ in keys], dtype=pl.Datetime("us"))
    return pl.DataFrame([times, pl.Series("site", [site for _, site in keys])])
