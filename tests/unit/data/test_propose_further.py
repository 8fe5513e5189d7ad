"""Proposals of `almanac new` for databases, zones, columns that are known ahead, and categories of many levels."""

import sqlite3
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import polars as pl
import pytest

from almanac.core.errors import AlmanacError, SourceError, TableError, UseCaseError
from almanac.data.ingest import ingest
from almanac.data.propose import Choices, Proposal, propose
from almanac.features.batch import compute
from almanac.features.fit import fit
from almanac.features.split import train_test
from almanac.usecase import UseCase, load_text
from orchestration.review import review

HOURS = 24 * 150


def utc(start: datetime, count: int = HOURS) -> list[datetime]:
    return [start + timedelta(hours=k) for k in range(count)]


def local(zone: str, times: list[datetime]) -> list[datetime]:
    return [time.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone)) for time in times]


def loads(count: int = HOURS) -> list[float]:
    return [float(k * 7 % 23) + k % 24 for k in range(count)]


def irregular(table: pl.DataFrame) -> pl.DataFrame:
    """Return rows of every weekday that follow no calendar."""
    return table.filter(pl.int_range(pl.len()) ** 2 % 11 < 8)


def proposed(table: str | Path, folder: Path, /, **choices: Any) -> tuple[UseCase, Proposal]:
    out = folder / "case.yaml"
    proposal = propose(table, out, Choices(**choices))
    case = load_text(proposal.text, str(out))
    assert not review(case).errors
    return case, proposal


def taken(case: UseCase, folder: Path) -> pl.DataFrame:
    ingest(case, folder, folder / "cache", folder / "out.parquet")
    return pl.read_parquet(folder / "out.parquet")


def write(table: pl.DataFrame, path: Path) -> Path:
    table.write_csv(path)
    return path


def database(path: Path, tables: int = 1) -> Path:
    rows = list(zip(map(str, utc(datetime(2020, 1, 1))), loads(), strict=True))
    with sqlite3.connect(path) as connection:
        for number in range(tables):
            connection.execute(f'CREATE TABLE "load {number}" ("when" TEXT, load REAL)')
            connection.executemany(f'INSERT INTO "load {number}" VALUES (?, ?)', rows)
    connection.close()
    return path


def test_the_only_table_of_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database(tmp_path / "plant.db")
    (tmp_path / "cases").mkdir()
    monkeypatch.chdir(tmp_path)
    case, proposal = proposed("sqlite:///plant.db", tmp_path / "cases")
    source: Any = case.sources[0]
    assert (source.type, source.connection, source.query) == ("sql", "sqlite:///../plant.db", 'SELECT * FROM "load 0"')
    assert (source.sha256, source.title, case.validation.unsorted) == (None, "plant.db:load 0", "sort")
    assert "format:" not in proposal.text
    # The rows of a query have no format, by which they could be said to come.
    assert "csv" not in dict(proposal.assumptions)["table"]
    assert taken(case, tmp_path / "cases").height == HOURS


def test_a_query_to_a_database_by_an_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database(tmp_path / "plant.db", 2)
    monkeypatch.setenv("PLANT", f"sqlite:///{tmp_path}/plant.db")
    query = 'SELECT "when" AS hour, load * 2 AS doubled FROM "load 1"'
    case, _ = proposed("env:PLANT", tmp_path, query=query)
    source: Any = case.sources[0]
    assert (source.connection, source.connection_env, source.query) == (None, "PLANT", query)
    assert taken(case, tmp_path)["doubled"].to_list() == [2 * value for value in loads()]
    assert proposed("env:PLANT", tmp_path, table="load 0")[0].targets[0].column == "load"


@pytest.mark.parametrize(
    ("table", "choices", "message"),
    [
        ("sqlite:///plant.db", {}, "has 2 tables; name one by --table, or a query by --query: load 0, load 1"),
        ("sqlite:///plant.db", {"table": "lods"}, "--table lods: there is no such table; there is load 0, load 1"),
        ("sqlite:///plant.db", {"table": "load 0", "query": "SELECT 1"}, "--table load 0: give either"),
        ("sqlite:///plan.db", {}, "no SQLite database plan.db"),
        ("sqlite:///plant.db", {"query": "SELECT lod FROM t"}, "no such table: t"),
        ("env:NOWHERE", {}, "the environment variable NOWHERE holds no database address"),
        ("postgresql+psycopg://me:secret@host/db", {}, "me:...@host/db: holds a password"),
        ("postgresql+psycopg://host/db?user=me&password=secret", {}, "psycopg://host/db: holds a password"),
        ("postgresql+psycopg://me:a#secret@host/db", {}, "me:...@host/db: holds a password"),
        ("postgresql+psycopg://host/db?sslpassword=secret", {}, "psycopg://host/db: holds a password"),
        ("oracle9://host/db", {"query": "SELECT 1"}, "oracle9"),
        ("t.csv", {"query": "SELECT 1"}, "--query SELECT 1: belongs to the address of a database"),
        ("t.csv", {"table": "t"}, "--table t: belongs to the address of a database"),
    ],
)
def test_a_wrong_address_or_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, choices: dict[str, str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    database(Path("plant.db"), 2)
    with pytest.raises(SourceError) as caught:
        proposed(table, tmp_path, **choices)
    assert message in str(caught.value).replace("***", "...")
    assert "secret" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["plant.db"]


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Europe/Berlin", datetime(2020, 2, 1)),
        ("America/New_York", datetime(2020, 8, 1)),
        ("Asia/Kolkata", datetime(2020, 1, 1)),
    ],
)
def test_the_zone_of_offsets(tmp_path: Path, zone: str, start: datetime) -> None:
    times = [time.isoformat() for time in local(zone, utc(start))]
    case, proposal = proposed(write(pl.DataFrame({"when": times, "load": loads()}), tmp_path / "t.csv"), tmp_path)
    assert case.time.zone == zone
    assert "zone inferred: its clocks have the offset" in proposal.text
    assert taken(case, tmp_path)["when"].to_list() == utc(start)


@pytest.mark.parametrize("start", [datetime(2020, 2, 1), datetime(2020, 8, 1)])
@pytest.mark.parametrize("names", [None, ("a", "b")])
def test_the_zone_of_a_local_clock(tmp_path: Path, start: datetime, names: tuple[str, ...] | None) -> None:
    times = [time.replace(tzinfo=None) for time in local("Europe/Berlin", utc(start))]
    one = pl.DataFrame({"when": times, "load": loads()})
    table = one if names is None else pl.concat([one.with_columns(site=pl.lit(name)) for name in names])
    case, proposal = proposed(write(table, tmp_path / "t.csv"), tmp_path)
    assert (case.time.zone, case.entity) == ("Europe/Berlin", None if names is None else "site")
    assert "look: or" not in proposal.text.split("time:")[1].split("\n")[0]
    assert taken(case, tmp_path)["when"].to_list()[:HOURS] == utc(start)


def test_zones_whose_clocks_change_at_the_same_hour_are_told(tmp_path: Path) -> None:
    times = [time.replace(tzinfo=None) for time in local("America/Chicago", utc(datetime(2020, 8, 1)))]
    path = write(pl.DataFrame({"when": times, "load": loads()}), tmp_path / "t.csv")
    case, proposal = proposed(path, tmp_path)
    assert case.time.zone == "America/New_York"
    assert any("America/Chicago" in told for told in proposal.unsure)
    case, proposal = proposed(path, tmp_path, zone="America/Chicago")
    assert case.time.zone == "America/Chicago"
    assert "zone given by --zone" in proposal.text
    assert taken(case, tmp_path)["when"].to_list() == utc(datetime(2020, 8, 1))


@pytest.mark.parametrize("gap", [None, datetime(2020, 3, 29, 5)])
def test_times_in_utc_have_no_zone(tmp_path: Path, gap: datetime | None) -> None:
    table = pl.DataFrame({"when": utc(datetime(2020, 2, 1)), "load": loads()}).filter(pl.col("when").ne_missing(gap))
    case, proposal = proposed(write(table, tmp_path / "t.csv"), tmp_path)
    assert case.time.zone is None
    assert "look: set zone for local clock time" in proposal.text


@pytest.mark.parametrize(
    ("step", "zone", "message"),
    [("1h", "Mars/Base", "--zone Mars/Base: is no time zone"), ("1d", "Europe/Berlin", "the times are days")],
)
def test_a_wrong_zone(tmp_path: Path, step: str, zone: str, message: str) -> None:
    times = pl.datetime_range(datetime(2020, 1, 1), datetime(2022, 1, 1), step, eager=True)
    path = write(pl.DataFrame({"when": times, "load": loads(times.len())}), tmp_path / "t.csv")
    with pytest.raises(UseCaseError, match=message):
        proposed(path, tmp_path, zone=zone)


def planned(later: int = 48) -> pl.DataFrame:
    price = [float(k % 5) for k in range(HOURS)]
    load = [None if k >= HOURS - later else 10 + 3 * price[k] + k % 7 for k in range(HOURS)]
    return pl.DataFrame(
        {"when": utc(datetime(2020, 1, 1)), "load": load, "price": price, "wind": loads()}
    ).with_columns(wind=pl.when(pl.col("load").is_not_null()).then("wind"))


def test_a_column_that_goes_on_after_the_target_is_known_ahead(tmp_path: Path) -> None:
    case, proposal = proposed(write(planned(), tmp_path / "t.csv"), tmp_path, target="load", horizon="6h")
    assert [source.name for source in case.sources] == ["table", "ahead"]
    join = case.sources[1].join
    assert join is not None
    assert (join.ahead, join.tolerance) == ("6h", "0h")
    assert "price has values up to 2020-05-29 23:00:00, load up to 2020-05-27 23:00:00" in proposal.text
    assert any("48 rows after the last known load" in told for told in proposal.unsure)
    table = taken(case, tmp_path)
    assert table.height == HOURS - 48
    # The price of the forecast's time, up to the last forecast; the wind of the row's own time.
    assert table["price"].to_list() == planned()["price"].to_list()[6 : HOURS - 42]
    assert table["wind"].to_list() == planned()["wind"].to_list()[: HOURS - 48]


def test_a_column_that_a_person_says_is_known_ahead(tmp_path: Path) -> None:
    path = write(planned(0), tmp_path / "t.csv")
    case, proposal = proposed(path, tmp_path, target="load", known_ahead=("price", "wind"))
    assert "price given by --known-ahead" in proposal.text
    assert case.columns["price"].description == "price, 1h ahead"
    table = taken(case, tmp_path)
    assert table["price"].to_list() == [*planned()["price"].to_list()[1:], None]
    # The only column that needs a forecast is the target.
    assert proposed(path, tmp_path, known_ahead=("price", "wind"))[0].targets[0].column == "load"


def test_columns_known_ahead_of_a_panel(tmp_path: Path) -> None:
    parts = [planned(0).with_columns(site=pl.lit(site), price=pl.col("price") + k) for k, site in enumerate("ab")]
    case, _ = proposed(write(pl.concat(parts), tmp_path / "t.csv"), tmp_path, target="load", known_ahead=("price",))
    assert case.entity == "site"
    table = taken(case, tmp_path)
    assert table.filter(pl.col("site") == "b")["price"].to_list()[:4] == [2.0, 3.0, 4.0, 5.0]


def test_what_is_known_before_an_event_is_no_outcome(tmp_path: Path) -> None:
    days = [datetime(2016, 1, 1) + timedelta(days=k) for k in range(1500)]
    table = pl.DataFrame({"day": days, "close": loads(1500), "plan": [float(k % 3) for k in range(1500)]})
    path = write(irregular(table), tmp_path / "t.csv")
    case, _ = proposed(path, tmp_path, target="close", known_ahead=("plan",))
    assert case.events is not None
    assert case.events.outcomes == ["close"]
    assert {"kind": "value", "group": "other", "columns": ["plan"]} in [
        item.model_dump() for item in case.features.items
    ]
    assert proposed(path, tmp_path, target="close")[0].events.outcomes == ["close", "plan"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("load", "--known-ahead load: is the target"),
        ("prise", "--known-ahead prise: there is no such column; there is when, load, price, wind"),
        ("when", "--known-ahead when: can be no feature, it is the time or the entity; those are load, price, wind"),
    ],
)
def test_what_cannot_be_known_ahead(tmp_path: Path, column: str, message: str) -> None:
    path = write(planned(0), tmp_path / "t.csv")
    with pytest.raises(TableError, match=message):
        proposed(path, tmp_path, target="load", known_ahead=(column,))


def test_categories_of_many_levels_are_learned(tmp_path: Path) -> None:
    table = planned(0).with_columns(
        city=pl.format("c{}", pl.int_range(pl.len()) % 200), note=pl.format("n{}", pl.int_range(pl.len()) // 2)
    )
    case, proposal = proposed(write(table, tmp_path / "t.csv"), tmp_path, target="load")
    city = case.columns["city"]
    assert (city.type, city.categories, city.max_levels, city.is_open) == ("category", None, None, True)
    encoded: list[Any] = [item for item in case.features.items if item.kind == "encoded"]
    assert [(item.columns, item.encoding, item.target) for item in encoded] == [
        (["city"], "frequency", None),
        (["city"], "target", "load_1h"),
    ]
    assert "200 levels, which are learned" in proposal.text
    assert "note is left out, it has 1,800 different texts in 3,600 rows" in proposal.text
    assert taken(case, tmp_path)["city"][205] == "c5"


def test_events_have_the_means_of_levels_too(tmp_path: Path) -> None:
    days = [datetime(2016, 1, 1) + timedelta(days=k) for k in range(1500)]
    cities = [f"c{k * k % 101 % 40}" for k in range(1500)]
    # The outcome follows from the city of its own event, which is known before it.
    table = pl.DataFrame({"day": days, "city": cities, "close": [float(city[1:]) for city in cities]})
    case, _ = proposed(write(irregular(table), tmp_path / "t.csv"), tmp_path)
    rows = taken(case, tmp_path)
    spec = fit(case, rows, train_test(case, rows["day"])[0])
    means = compute(spec, rows)["city_close_1d"]
    assert np.corrcoef(means[-100:], rows["close"][-100:])[0, 1] > 0.95


def test_gathered_rows_have_nothing_known_ahead(tmp_path: Path) -> None:
    from tests.support.tables import sales

    with pytest.raises(AlmanacError, match="--known-ahead amount: is the target"):
        proposed(sales(tmp_path, 0.1), tmp_path, known_ahead=("amount",))


def business_days(count: int = 1500, closed: Iterable[date] = ()) -> pl.DataFrame:
    days = [datetime(2016, 1, 4) + timedelta(days=k) for k in range(count)]
    table = pl.DataFrame({"day": days, "close": loads(count)})
    return table.filter((pl.col("day").dt.weekday() < 6) & ~pl.col("day").dt.date().is_in(list(closed)))


def test_the_step_before_a_monday_is_the_friday_and_a_holiday_is_none(tmp_path: Path) -> None:
    closed = holidays.financial_holidays("XNYS", years=range(2016, 2021))
    case, proposal = proposed(write(business_days(closed=closed), tmp_path / "t.csv"), tmp_path)
    assert case.time.calendar is not None
    assert (case.time.frequency, case.time.calendar.exchange, case.events) == ("1d", "XNYS", None)
    assert "time.calendar: the days of XNAS would fit too" in proposal.unsure
    assert (case.evaluation.season, case.targets[0].horizon) == ("5d", "1d")
    rows = taken(case, tmp_path)
    features = compute(fit(case, rows, train_test(case, rows["day"])[0]), rows)
    value, last = (dict(zip(rows["day"], column, strict=True)) for column in (rows["close"], features["close_lag_1d"]))
    assert last[datetime(2018, 5, 21)] == value[datetime(2018, 5, 18)]
    # 28 May 2018, a Monday, is Memorial Day.
    assert last[datetime(2018, 5, 29)] == value[datetime(2018, 5, 25)]


@pytest.mark.parametrize(
    ("table", "weekdays"),
    [
        (business_days(), ["mon", "tue", "wed", "thu", "fri"]),
        (business_days(closed=[date(2018, 5, 28), date(2018, 7, 4)]), ["mon", "tue", "wed", "thu", "fri"]),
        (business_days().filter(pl.col("day").dt.weekday() != 3), ["mon", "tue", "thu", "fri"]),
    ],
)
def test_weekdays_that_have_rows_are_a_calendar(tmp_path: Path, table: pl.DataFrame, weekdays: list[str]) -> None:
    case, proposal = proposed(write(table, tmp_path / "t.csv"), tmp_path)
    assert case.time.calendar is not None
    assert (case.time.calendar.weekdays, case.time.calendar.exchange) == (weekdays, None)
    assert any("an exchange or a country says which days to come are holidays" in line for line in proposal.unsure)
    assert not review(case).errors


def test_an_empty_row_says_that_a_day_was_closed(tmp_path: Path) -> None:
    closed = holidays.financial_holidays("XNYS", years=range(2016, 2021))
    empty = pl.col("day").dt.date().is_in(list(closed))
    table = business_days().with_columns(pl.when(~empty).then(pl.col("close")).alias("close"))
    case, _ = proposed(write(table, tmp_path / "t.csv"), tmp_path)
    assert case.time.calendar is not None
    assert case.time.calendar.exchange == "XNYS"


@pytest.mark.parametrize("size", [0.0, 3.0])
def test_phases_of_a_week_are_features_where_changes_depend_on_the_weekday(tmp_path: Path, size: float) -> None:
    noise = np.random.default_rng(3).normal(size=1500).cumsum()
    weekly = size * (pl.col("day").dt.weekday() == 5)
    table = business_days().with_columns(close=pl.Series(noise[: business_days().height]) + weekly)
    case, _ = proposed(write(table, tmp_path / "t.csv"), tmp_path)
    kinds = {item.kind for item in case.features.items}
    assert ({"calendar", "cyclic", "seasonal"} <= kinds) == (size > 0)
    assert {"value", "lag", "rolling"} <= kinds


def test_a_plan_for_the_next_open_day_is_known_ahead(tmp_path: Path) -> None:
    table = business_days().with_columns(plan=pl.col("day").dt.day().cast(pl.Float64))
    case, _ = proposed(write(table, tmp_path / "t.csv"), tmp_path, target="close", known_ahead=("plan",))
    assert case.time.calendar is not None
    plan = dict(taken(case, tmp_path).select("day", "plan").iter_rows())
    # Friday 18 May 2018 has the plan of Monday the 21st.
    assert (plan[datetime(2018, 5, 18)], plan[datetime(2018, 5, 17)]) == (21.0, 18.0)


def test_several_series_share_the_days_of_an_exchange(tmp_path: Path) -> None:
    closed = holidays.financial_holidays("XLON", years=range(2016, 2021))
    table = pl.concat([business_days(closed=closed).with_columns(share=pl.lit(name)) for name in ("one", "other")])
    case, _ = proposed(write(table, tmp_path / "t.csv"), tmp_path)
    assert case.time.calendar is not None
    assert (case.entity, case.time.calendar.exchange) == ("share", "XLON")


@pytest.mark.parametrize(("true", "false"), [("yes", "no"), ("True", "False"), ("1", "0"), ("t", "F")])
def test_the_probability_of_a_column_of_true_and_false_is_forecast(tmp_path: Path, true: str, false: str) -> None:
    start = datetime(2020, 1, 1)
    rows = [f"{start + timedelta(hours=k)},{true if k * k % 31 == 5 else false},{k % 7}" for k in range(1500)]
    (tmp_path / "t.csv").write_text("\n".join(["time,failure,load", *rows]))
    proposal = propose(tmp_path / "t.csv", tmp_path / "case.yaml", Choices(target="failure"))
    case = load_text(proposal.text, str(tmp_path / "case.yaml"))
    (target,) = case.targets
    assert (target.task, target.above, case.columns["failure"].type) == ("classification", 0, "boolean")
    # A probability has no last known value to differ from.
    assert [candidate.name for candidate in case.training.candidates] == ["trees", "ridge", "blend"]
    assert ("target", "the probability that failure is true, 1h ahead") in proposal.assumptions
    ingest(case, tmp_path, tmp_path / "cache", tmp_path / "table.parquet")
    assert set(pl.read_parquet(tmp_path / "table.parquet")["failure"]) == {0.0, 1.0}


def test_the_reason_for_a_target_of_yes_and_no_is_not_that_it_holds_numbers(tmp_path: Path) -> None:
    rows = [f"{datetime(2020, 1, 1) + timedelta(hours=k)},{'yes' if k * k % 31 == 5 else 'no'}" for k in range(1500)]
    (tmp_path / "t.csv").write_text("\n".join(["time,failure", *rows]))
    text = propose(tmp_path / "t.csv", tmp_path / "case.yaml", Choices()).text
    assert "# inferred: the only column of numbers, or of true and false; horizon" in text


def test_two_other_texts_are_no_target(tmp_path: Path) -> None:
    rows = [f"2020-01-{day:02},{'ab'[day % 2]},{day}" for day in range(1, 32)]
    (tmp_path / "t.csv").write_text("\n".join(["time,kind,load", *rows]))
    with pytest.raises(
        TableError, match="--target kind: is not a column of numbers, nor of two values such as yes and no"
    ):
        propose(tmp_path / "t.csv", tmp_path / "case.yaml", Choices(target="kind"))


def test_months_have_the_course_of_the_year(tmp_path: Path) -> None:
    months = [f"{2004 + k // 12}-{k % 12 + 1:02}" for k in range(240)]
    table = pl.DataFrame({"month": months, "amount": [100.0 + k % 12 * 5 + k % 7 for k in range(240)]})
    case, proposal = proposed(write(table, tmp_path / "t.csv"), tmp_path)
    items = {item.kind: item.model_dump() for item in case.features.items}
    # A time column of the same name would have taken the place of the feature.
    assert (case.time.column, items["calendar"]["fields"], items["cyclic"]["periods"]) == ("time", ["month"], ["year"])
    assert proposal.next_forecast.endswith("add it with its month and without amount")
