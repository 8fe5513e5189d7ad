"""`almanac new`: the use case that a table's values suggest."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from almanac.core.errors import TableError, UseCaseError
from almanac.data.propose import Wishes, propose
from almanac.usecase import load
from tests.support import small


def hours(count: int = 400) -> pl.Series:
    return pl.Series("When", [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(count)])


def write(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    load_ = [float(hour % 24) for hour in range(400)]
    frame = pl.DataFrame(
        {"When": hours(), "Load (kW)": load_, "sky": ["a", "b"] * 200, "note": [f"n{hour}" for hour in range(400)]}
    )
    return write(frame, tmp_path / "meters.csv")


def test_the_real_series_is_an_hourly_grid_of_one_entity(beijing: pl.DataFrame, tmp_path: Path) -> None:
    path = write(beijing, tmp_path / "beijing.csv")
    assumed = propose(path, tmp_path / "air.yaml", Wishes(target="pm25", horizon="24h"))
    case = load(tmp_path / "air.yaml")
    assert assumed["time"] == "timestamp, every 1h, 2010-01-01 to 2014-12-31"
    assert (case.time.frequency, case.entity, case.targets[0].horizon) == ("1h", None, "24h")
    assert case.columns["cbwd"].categories == ["NE", "NW", "SE", "cv"]


def test_the_file_is_read_as_it_is_declared(table: Path, tmp_path: Path) -> None:
    assumed = propose(table, tmp_path / "demand.yaml", Wishes())
    case = load(tmp_path / "demand.yaml")
    assert assumed["left out"] == "note"
    assert case.targets[0].column == "load_kw"
    rows = small.take(case, tmp_path)
    assert rows.columns == ["when", "load_kw", "sky"]
    assert rows.height == 400


def test_a_text_column_that_tells_rows_apart_is_the_entity(tmp_path: Path) -> None:
    frame = pl.concat([pl.DataFrame({"When": hours(200), "site": [site] * 200, "load": 1.0}) for site in "xy"])
    propose(write(frame, tmp_path / "panel.csv"), tmp_path / "panel.yaml", Wishes())
    assert load(tmp_path / "panel.yaml").entity == "site"


def test_rows_of_days_get_features_of_weeks(tmp_path: Path) -> None:
    days = pl.Series("day", [datetime(2020, 1, 1) + timedelta(days=day) for day in range(900)])
    path = tmp_path / "daily.parquet"
    pl.DataFrame({"day": days, "sales": [float(day % 7) for day in range(900)]}).write_parquet(path)
    propose(path, tmp_path / "sales.yaml", Wishes())
    case = load(tmp_path / "sales.yaml")
    assert (case.time.frequency, case.evaluation.season, case.targets[0].horizon) == ("1d", "7d", "1d")


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(target="power"), "--target power: no such column; there is when, load_kw, sky, note"),
        (Wishes(target="sky"), "--target sky: holds no numbers; numeric are load_kw"),
        (Wishes(time="sky"), "no column holds ISO 8601 times"),
        (Wishes(entity="place"), "--entity place: no such column"),
    ],
)
def test_a_column_that_cannot_be_meant_is_named(table: Path, tmp_path: Path, wishes: Wishes, message: str) -> None:
    with pytest.raises(TableError, match=message):
        propose(table, tmp_path / "demand.yaml", wishes)
    assert not (tmp_path / "demand.yaml").exists()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"d": ["03/04/2020"] * 200, "v": 1.0}), "03/04/2020 may be 2020-04-03 or 2020-03-04"),
        (pl.DataFrame({"When": hours(), "a": 1.0, "b": 2.0}), "name it by --target: a, b"),
        (pl.DataFrame({"When": hours().gather([0, 1, 5, 7, 8] * 1), "a": 1.0}), "has 5 rows"),
        (pl.DataFrame({"When": [*hours(200), *hours(200)], "a": 1.0}), "times repeat"),
        (
            pl.DataFrame({"When": [datetime(2024, 1, 1) + timedelta(seconds=n * n) for n in range(300)], "a": 1.0}),
            "expected a regular grid",
        ),
    ],
)
def test_a_table_that_is_no_regular_series_is_refused(frame: pl.DataFrame, message: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=message):
        propose(write(frame, tmp_path / "odd.csv"), tmp_path / "odd.yaml", Wishes())
    assert not (tmp_path / "odd.yaml").exists()


def test_an_existing_file_is_kept_unless_told_otherwise(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "demand.yaml"
    out.write_text("mine")
    with pytest.raises(UseCaseError, match="exists; choose another --out, or replace it with --force"):
        propose(table, out, Wishes())
    assert out.read_text() == "mine"
    propose(table, out, Wishes(), force=True)
    assert yaml.safe_load(out.read_text())["name"] == "demand"
