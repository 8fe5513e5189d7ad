from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import TableError
from almanac.data.validate import refuse_errors, run_checks, validate
from almanac.data.validation_result import to_record
from tests.support import small

HOUR = timedelta(hours=1)
START = datetime(2020, 1, 1)

GOOD = pl.DataFrame(
    {
        "timestamp": [START + hour * HOUR for hour in range(6)],
        "load": [1.0, 2.0, None, 4.0, 5.0, 6.0],
        "kind": ["a", "b", "a", "b", "a", None],
    },
    schema_overrides={"timestamp": pl.Datetime("us")},
)
SITES = pl.concat([GOOD.with_columns(site=pl.lit(site)) for site in "yx"]).select("timestamp", "site", "load", "kind")


def check(table: pl.DataFrame = GOOD, **changes: Any) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the valid table and the result."""
    case = small.usecase(**changes)
    result = run_checks(table, case, None)
    return refuse_errors(result, case), to_record(result, table, case)


def rules(result: dict[str, Any]) -> list[tuple[str, str, str | None, int]]:
    return [(f["severity"], f["rule"], f["column"], f["count"]) for f in result["findings"]]


def refused(table: pl.DataFrame, **changes: Any) -> str:
    """Return the message that a table is refused with."""
    with pytest.raises(TableError) as caught:
        check(table, **changes)
    return str(caught.value)


def shift(table: pl.DataFrame, row: int, by: timedelta) -> pl.DataFrame:
    times = table["timestamp"].to_list()
    times[row] += by
    return table.with_columns(pl.Series("timestamp", times, dtype=pl.Datetime("us")))


def test_a_good_table_comes_out_as_it_went_in() -> None:
    table, result = check()
    assert table.equals(GOOD)
    assert result["passed"] is True
    assert result["findings"] == []
    assert (result["rows_in"], result["rows"], result["inserted"]) == (6, 6, 0)
    assert result["columns"]["load"]["missing"] == pytest.approx(1 / 6)
    assert result["columns"]["kind"]["counts"] == {"a": 3, "b": 2}
    assert result["completeness"] == {"table": 1.0}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (GOOD.drop("kind"), "column 'kind': missing_column: is missing; the table has timestamp, load"),
        (GOOD.with_columns(more=1), "column 'more': extra_column: is not declared; declare it under 'columns'"),
        (GOOD.cast({"load": pl.String}), "column 'load': type: has type String, and should have Float64"),
        (GOOD.cast({"load": pl.Int64}), "column 'load': type: has type Int64, and should have Float64"),
        (GOOD.cast({"timestamp": pl.Datetime("ms")}), "column 'timestamp': type: has type Datetime(time_unit='ms'"),
        (GOOD.clear(), "table: min_rows: has 0 rows, and should have 1"),
    ],
)
def test_a_table_of_another_structure(table: pl.DataFrame, message: str) -> None:
    assert message in refused(table)


@pytest.mark.parametrize("table", [GOOD.drop("kind"), GOOD.clear(), GOOD.with_columns(load=pl.lit(500.0))])
def test_a_refused_table_leaves_a_report_alone(tmp_path: Path, table: pl.DataFrame) -> None:
    table.write_parquet(tmp_path / "in.parquet")
    with pytest.raises(TableError, match=r"the table of small breaks \d of its rules:\n  "):
        validate(small.usecase(), tmp_path / "in.parquet", tmp_path / "out.parquet", tmp_path / "report.html")
    assert not (tmp_path / "out.parquet").exists()
    assert "and is not used" in (tmp_path / "report.html").read_text()


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(TableError, match=r"in.parquet: is not a Parquet table"):
        validate(small.usecase(), tmp_path / "in.parquet", tmp_path / "out.parquet", tmp_path / "report.html")


def test_values_beyond_the_range() -> None:
    table = GOOD.with_columns(load=pl.Series([1.0, -1.0, None, 100.0, 101.0, float("inf")]))
    message = refused(table)
    assert "column 'load': range: 3 values beyond 0 to 100 kW; first: row 2 (2020-01-01 01:00:00) -1.0, " in message
    assert "column 'load': finite: 1 value infinite; first: row 6 (2020-01-01 05:00:00) 'inf'" in message
    half = {"load": small.data()["columns"]["load"] | {"min": None}, "kind": small.data()["columns"]["kind"]}
    assert "2 values beyond at most 100 kW" in refused(table, columns=half)


def test_values_beyond_the_range_can_be_set_missing() -> None:
    table = GOOD.with_columns(load=pl.Series([1.0, -1.0, None, 100.0, 101.0, 6.0]))
    valid, result = check(table, validation={"out_of_range": "null"})
    assert valid["load"].to_list() == [1.0, None, None, 100.0, None, 6.0]
    assert rules(result) == [("warning", "range", "load", 2)]
    assert result["findings"][0]["rows"][0] == {"row": 2, "time": "2020-01-01T01:00:00", "value": -1.0}
    assert result["columns"]["load"]["missing"] == 0.5


def test_an_unknown_category_and_a_number_that_is_not_whole() -> None:
    assert "column 'kind': categories: 1 value none of a, b; first: row 4 (2020-01-01 03:00:00) 'c'" in refused(
        GOOD.with_columns(kind=pl.Series(["a", "b", None, "c", "a", "b"]))
    )
    columns = small.data()["columns"]
    columns["load"]["type"] = "integer"
    assert check(GOOD, columns=columns)[0].equals(GOOD)
    message = refused(GOOD.with_columns(load=pl.Series([1.0, 1.5, 2, 3, 4, 5])), columns=columns)
    assert "column 'load': integer: 1 value not whole; first: row 2 (2020-01-01 01:00:00) 1.5" in message


def test_a_missing_time() -> None:
    table = GOOD.with_columns(timestamp=pl.when(pl.col("load") != 4.0).then("timestamp"))
    assert "column 'timestamp': missing: 2 values missing, and none may be; first: row 3 None" in refused(table)


def test_time_running_backwards() -> None:
    table = GOOD[[0, 2, 1, 3, 4, 5]]
    message = refused(table)
    assert "column 'timestamp': unsorted: 1 row earlier than the row before" in message
    assert "first: row 3 (2020-01-01 01:00:00)" in message
    valid, result = check(table, validation={"unsorted": "sort"})
    assert valid.equals(GOOD)
    assert rules(result) == [("warning", "unsorted", "timestamp", 1)]


def test_duplicate_times() -> None:
    table = pl.concat([GOOD[:2], GOOD[1:2].with_columns(load=pl.lit(9.0)), GOOD[2:]])
    message = refused(table)
    assert "column 'timestamp': duplicates: 1 row with the timestamp of an earlier one; set validation.dup" in message
    assert "first: row 3 (2020-01-01 01:00:00)" in message
    for keep, load in (("keep_first", 2.0), ("keep_last", 9.0)):
        valid, result = check(table, validation={"duplicates": keep})
        assert valid.height == 6
        assert valid["load"][1] == load
        assert rules(result) == [("warning", "duplicates", "timestamp", 1)]


def test_entities_have_times_of_their_own() -> None:
    late = SITES.filter((pl.col("site") == "y") | (pl.col("timestamp") > START + HOUR))
    valid, result = check(late, entity="site")
    assert valid["site"].to_list() == ["x"] * 4 + ["y"] * 6
    assert result["findings"] == []
    assert result["entities"] == 2
    twice = pl.concat([SITES, SITES[7:8]])
    message = refused(twice, entity="site")
    assert "1 row with the site and timestamp of an earlier one" in message
    assert "unsorted: 1 row earlier than the row before" in message
    assert "first: row 13 (x 2020-01-01 01:00:00)" in message


def test_times_off_the_grid() -> None:
    message = refused(shift(GOOD, 0, timedelta(minutes=7)))
    assert "column 'timestamp': grid: 1 row off the grid of 1h; first: row 1 (2020-01-01 00:07:00)" in message
    half_past = GOOD.with_columns(pl.col("timestamp") + timedelta(minutes=30))
    assert check(half_past)[0].equals(half_past)


def test_gaps_become_rows_of_missing_values() -> None:
    table = GOOD[[0, 1, 4, 5]]
    valid, result = check(table)
    assert valid["timestamp"].equals(GOOD["timestamp"])
    assert valid["load"].to_list() == [1.0, 2.0, None, None, 5.0, 6.0]
    assert rules(result) == [("warning", "gaps", None, 1)]
    assert (result["rows"], result["inserted"]) == (6, 2)
    assert result["gaps"] == {
        "count": 1,
        "missing": 2,
        "longest": [{"from": "2020-01-01T02:00:00", "to": "2020-01-01T03:00:00", "steps": 2}],
    }
    assert result["columns"]["load"]["missing"] == 0.0


def test_gaps_that_are_errors() -> None:
    table = GOOD[[0, 1, 4, 5]]
    assert "table: gaps: 1 gap, 2 times missing" in refused(table, validation={"gaps": "error"})
    assert "table: max_gap: 1 gap longer than 1h" in refused(table, validation={"max_gap": "1h"})
    assert check(table, validation={"max_gap": "2h"})[1]["passed"]


def test_gaps_are_found_within_each_entity() -> None:
    table = SITES.filter(~((pl.col("site") == "x") & (pl.col("timestamp") == START + 2 * HOUR)))
    valid, result = check(table, entity="site")
    assert valid.height == 12
    assert valid.filter(pl.col("site") == "x")["load"].to_list() == [1.0, 2.0, None, 4.0, 5.0, 6.0]
    assert result["gaps"]["longest"][0]["entity"] == "x"


def test_too_many_missing_values() -> None:
    table = GOOD.with_columns(load=pl.Series([1.0, None, None, None, None, 6.0]))
    assert "column 'load': max_missing: 4 of 6 values missing (66.67%); at most 50.00% may be" in refused(table)


def test_a_target_without_any_value() -> None:
    columns = small.data()["columns"]
    columns["load"]["max_missing"] = 1.0
    table = GOOD.with_columns(load=pl.lit(None, pl.Float64))
    message = refused(table, columns=columns)
    assert "column 'load': target_missing: is a target, and has no value at all" in message


def test_too_few_rows_and_too_few_times() -> None:
    assert "min_rows: has 6 rows, and should have 7" in refused(GOOD, validation={"min_rows": 7})
    table = GOOD[[0, 1, 4, 5]]
    message = refused(table, validation={"completeness": 0.7})
    assert "completeness: source table covers 66.67% of the times; 70.00% needed" in message


def test_completeness_is_of_each_source(tmp_path: Path) -> None:
    (tmp_path / "meters.csv").write_text(small.CSV.replace("2020-01-01T02:00,,a", "2020-01-01T02:00,3,a"))
    (tmp_path / "weather.csv").write_text("time,temp\n2020-01-01T00:00,1\n")
    columns = small.data()["columns"] | {"temp": {"type": "float", "max_missing": 1.0, "description": "Temperature"}}
    weather = small.source(name="weather", path="weather.csv", join={"tolerance": "1h"})
    table = {"sources": [small.source(), weather], "columns": columns}
    case = small.usecase(**table, validation={"completeness": 0.6})
    small.take(case, tmp_path)
    source = tmp_path / "out" / "table.parquet"
    with pytest.raises(TableError, match=r"completeness: source weather covers 50.00% of the times"):
        validate(case, source, tmp_path / "out.parquet", tmp_path / "report.html")
    result = validate(small.usecase(**table), source, tmp_path / "out.parquet", tmp_path / "report.html")
    assert result["completeness"] == {"meters": 1.0, "weather": 0.5}


@pytest.mark.parametrize(
    ("as_of", "old"), [("2020-01-01T08:00", True), ("2020-01-01T08:00+03:00", False), ("now", True)]
)
def test_staleness(as_of: str, old: bool) -> None:
    rule = {"max_age": "2h", "as_of": as_of}
    _, result = check(validation={"staleness": rule})
    assert rules(result) == ([("warning", "staleness", "timestamp", 1)] if old else [])
    if old:
        message = refused(GOOD, validation={"staleness": {**rule, "severity": "error"}})
        assert "column 'timestamp': staleness: newest row older than 2h on " in message
        assert "small 2020-01-01 05:00:00" in message


def test_an_entity_that_fell_silent_is_stale() -> None:
    table = SITES.filter((pl.col("site") == "x") | (pl.col("timestamp") < START + 2 * HOUR))
    rule = {"max_age": "2h", "as_of": "2020-01-01T06:00"}
    _, result = check(table, entity="site", validation={"staleness": rule})
    assert rules(result) == [("warning", "staleness", "timestamp", 1)]
    assert "y 2020-01-01 01:00:00" in result["findings"][0]["text"]


def test_every_broken_rule_is_listed_at_once() -> None:
    table = GOOD[[0, 2, 1, 4, 5]].with_columns(load=pl.Series([1.0, 500.0, 2.0, 3.0, 4.0]), kind=pl.lit("z"))
    message = refused(table, validation={"gaps": "error"})
    lines = message.splitlines()
    assert lines[0] == "the table of small breaks 4 of its rules:"
    assert [line.split(":")[1].strip() for line in lines[1:]] == ["range", "categories", "unsorted", "gaps"]


def test_only_the_first_rows_are_shown() -> None:
    table = GOOD.with_columns(load=pl.lit(500.0))
    message = refused(table)
    assert "6 values beyond" in message
    assert message.count("row ") == 5
    assert message.endswith(", …")


def test_grids_of_minutes_and_days() -> None:
    for frequency, step in (("15min", timedelta(minutes=15)), ("1d", timedelta(days=1)), ("7d", timedelta(days=7))):
        times = pl.Series("timestamp", [START + n * step for n in (0, 1, 3, 4, 5, 6)], dtype=pl.Datetime("us"))
        targets = [{"name": "load_next", "column": "load", "horizon": frequency}]
        grid = {"column": "timestamp", "frequency": frequency}
        season = {"season": "28d", "bands": {"edges": [50.0]}}
        valid, _ = check(GOOD.with_columns(times), time=grid, targets=targets, evaluation=season)
        assert valid["timestamp"].to_list() == [START + n * step for n in range(7)]
        assert valid["load"].to_list() == [1.0, 2.0, None, None, 4.0, 5.0, 6.0]


def test_a_column_that_keeps_one_value_for_too_long() -> None:
    stuck = SITES.with_columns(load=pl.when(pl.col("site") == "y").then(3.0).otherwise("load"))
    asked = [{"rule": "flatline", "column": "load", "longest": "5h"}]
    _, result = check(stuck, entity="site", validation={"checks": asked})
    assert rules(result) == [("warning", "flatline", "load", 1)]
    [row] = result["findings"][0]["rows"]
    assert row == {"entity": "y", "time": "2020-01-01T00:00:00 to 2020-01-01T05:00:00", "value": 3.0}
    message = refused(stuck, entity="site", validation={"checks": [asked[0] | {"severity": "error"}]})
    assert "column 'load': flatline: 1 span of one value for more than 5h" in message
    for longest, entity in (("6h", "y"), ("5h", "x")):
        asked = [{"rule": "flatline", "column": "load", "longest": longest}]
        _, result = check(stuck.filter(site=entity), entity="site", validation={"checks": asked})
        assert result["findings"] == []
