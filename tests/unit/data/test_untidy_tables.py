"""Tables as people write them: units below the header, totals, signs, merged cells, columns for periods."""

import json
import sqlite3
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow
import pytest

from almanac.core.errors import TableError
from almanac.data.infer import Inferred, infer
from almanac.data.ingest import ingest
from almanac.data.propose import Choices, Proposal, propose
from almanac.usecase import load_text

DAYS = [date(2020, 1, 1) + timedelta(days=day) for day in range(400)]


def written(path: Path, header: str, row: str, top: str = "", end: str = "") -> Path:
    """Write a line for each day: `{n}` is its number and `{day}` its date."""
    lines = [row.format(n=number, day=day) for number, day in enumerate(DAYS)]
    path.write_text("\n".join([header, *([top] if top else []), *lines, *([end] if end else [])]) + "\n")
    return path


def inferred(path: Path, **choices: str) -> Inferred:
    return infer(path, path.read_bytes(), **choices)  # type: ignore[arg-type]


def table_of(path: Path, **choices: str) -> tuple[Proposal, pl.DataFrame]:
    out = path.parent / "case.yaml"
    proposal = propose(path, out, Choices(**choices))  # type: ignore[arg-type]
    ingest(load_text(proposal.text, str(out)), path.parent, path.parent / "cache", path.parent / "out.parquet")
    return proposal, pl.read_parquet(path.parent / "out.parquet")


def test_units_below_the_header_and_a_total_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "day,load", "{day},{n}.5", top=",MW", end="Total 'all',80000.0")
    proposal, table = table_of(path)
    assert table["day"].dt.date().to_list() == DAYS
    assert table["load"].to_list() == [number + 0.5 for number in range(400)]
    assert proposal.unsure[0] == (
        "read.shape: only rows with \"day\" NOT IN ('Total ''all''') are read; the others hold no time"
    )


@pytest.mark.parametrize("end", ["Total,1\nnote,\n,\nmore,2", "soon,1\n2021-02-04,2"])
def test_other_rows_without_a_time_are_refused(tmp_path: Path, end: str) -> None:
    with pytest.raises(TableError, match=r"no column holds times"):
        inferred(written(tmp_path / "t.csv", "day,load", "{day},{n}", end=end))


@pytest.mark.parametrize(
    ("row", "marks", "second"),
    [
        ('{day},"$1,{n:03}.50"', (".", ",", ["$"]), 1001.5),
        ('{day},"-1.{n:03},50 €"', (",", ".", ["€"]), -1001.5),
        ('{day},"{n},5%"', (",", None, ["%"]), 1.5),
        ("{day},1'{n:03}", (".", "'", []), 1001.0),
        ('{day},"1,{n:03},000"', (".", ",", []), 1_001_000.0),
        ("{day},{n}", (".", None, []), 1.0),
        ("{day},CHF {n}.5", (".", None, ["CHF"]), 1.5),
    ],
)
def test_marks_and_signs_of_numbers(
    tmp_path: Path, row: str, marks: tuple[str, str | None, list[str]], second: float
) -> None:
    path = written(tmp_path / "t.csv", "day,load", row)
    read = inferred(path).read
    assert (read.decimal, read.thousands, read.signs) == marks
    assert table_of(path)[1]["load"][1] == second


def test_a_comma_with_two_readings_is_refused_unless_another_column_or_a_person_decides(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "day,load", '{day},"1,{n:03}"')
    with pytest.raises(TableError, match=r"'1,000' is 1000 with a comma between thousands, and 1.000 with a decimal"):
        inferred(path)
    assert (inferred(path, decimal=".").read.thousands, inferred(path, decimal=",").read.thousands) == (",", None)
    path = written(tmp_path / "t.csv", "day,load,share", '{day},"1,{n:03}",0.5')
    assert inferred(path).read.thousands == ","
    path = written(tmp_path / "t.csv", "day,load", '{day},"0,{n:03}"')
    assert (inferred(path).read.decimal, inferred(path).read.thousands) == (",", None)
    path = written(tmp_path / "t.csv", "day;load;share", "{day};1,{n:03};0,5")
    assert (inferred(path).read.decimal, inferred(path).read.thousands) == (",", None)


def test_words_beside_numbers_are_no_signs(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "day,load,size", "{day},{n},{n} kg")
    assert inferred(path).read.signs == []


def test_a_header_with_quotes(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 'day,"size ""L"""', "{day},{n}")
    assert list(inferred(path).columns) == ['size "L"']


def test_two_columns_name_the_series_of_a_monthly_panel_with_shops_that_close(tmp_path: Path) -> None:
    rows = ["shop,product,month,units"]
    for shop, end in (("007", 120), ("012", 90)):
        for product in ("pear", "fig"):
            rows += [f"{shop},{product},{2010 + k // 12}-{k % 12 + 1:02},{k * 7 % 31 + 100}" for k in range(end)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    proposal, table = table_of(tmp_path / "t.csv", target="units")
    assert set(table["shop_product"]) == {"007 pear", "012 pear", "007 fig", "012 fig"}
    assert table.height == 420
    case = load_text(proposal.text, str(tmp_path / "case.yaml"))
    # A month is known when it is over, not a day after it began.
    assert (case.entity, case.events.known_after if case.events else "") == ("shop_product", "28d")
    assert case.targets[0].horizon == "28d"


def test_a_number_that_tells_rows_apart_by_chance_is_no_entity(tmp_path: Path) -> None:
    """Visits at any minute, a few at the same: their age is no series, nor is the column's name one of a use case."""
    start, rows = datetime(2020, 1, 1), ["at,Length of stay (h),Age,ward"]
    rows += [f"{start + timedelta(minutes=k * k % 997 + 61 * k)},{k % 7}.5,{k % 60},{'AB'[k % 2]}" for k in range(9000)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    found = inferred(tmp_path / "t.csv", target="Length of stay (h)")
    assert (found.entity, found.gathered) == ("ward", True)
    assert table_of(tmp_path / "t.csv", target="Length of stay (h)")[1].height == 2 * found.times.n_unique()


def test_the_fields_of_objects_are_columns(tmp_path: Path) -> None:
    lines = [
        json.dumps(
            {"at": str(day), "of": {"id": name, "in": {"site": "x"}}, "read": {"flow": number + 0.5}, "tags": [1]}
        )
        for number, day in enumerate(DAYS)
        for name in "ab"
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    proposal, table = table_of(tmp_path / "t.jsonl", target="read_flow")
    assert set(table.columns) == {"at", "of_id", "of_in_site", "read_flow"}
    assert ("entity", "of_id, 2") in proposal.assumptions


def test_a_sheet_after_one_of_notes_with_merged_cells_in_its_header(tmp_path: Path) -> None:
    from openpyxl import Workbook  # type: ignore[import-untyped]

    book = Workbook()
    notes, sheet = book.active, book.create_sheet("Used")
    notes.append(["Prepared by facility management"])
    notes.append(["Values in kWh"])
    sheet.append(["Consumption"])
    sheet.append([])
    sheet.append(["Date", "North", None, "South"])
    sheet.append([None, "Hall 1", "Hall 2", "Hall 1"])
    for number, day in enumerate(DAYS):
        sheet.append([day, number, number + 0.5, 2 * number])
    book.save(tmp_path / "t.xlsx")
    proposal, table = table_of(tmp_path / "t.xlsx", target="North Hall 2")
    assert table.columns == ["date", "north_hall_1", "north_hall_2", "south_hall_1"]
    assert table["north_hall_2"].to_list() == [number + 0.5 for number in range(400)]
    assert "table: Used" in proposal.text


@pytest.mark.parametrize("form", ["%Y-%m", "%b %Y", "%Y"])
def test_a_column_for_each_period_becomes_a_row_for_each(tmp_path: Path, form: str) -> None:
    step = 12 if form == "%Y" else 1
    periods = [date(1900 + k * step // 12, k * step % 12 + 1, 1) for k in range(150)]
    header = ",".join(["country", *(period.strftime(form) for period in periods)])
    rows = [",".join([country, *(str(k * 7 % 31 + 0.5) for k in range(150))]) for country in ("A", "B")]
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]))
    _, table = table_of(tmp_path / "t.csv")
    assert table.columns == ["period", "country", "value"]
    assert table["period"].dt.date().unique().sort().to_list() == periods


@pytest.mark.parametrize("name", ["t.zip", "t.csv.zst"])
def test_further_compressed_files(tmp_path: Path, name: str) -> None:
    content = written(tmp_path / "plain.csv", "day,load", "{day},{n}").read_bytes()
    if name == "t.zip":
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("data of 2020.csv", content)
    else:
        (tmp_path / name).write_bytes(pyarrow.compress(content, codec="zstd", asbytes=True))
    assert table_of(tmp_path / name)[1]["load"].to_list() == list(range(400))


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, "day,load\n")
    with pytest.raises(TableError, match=r"t.zip: holds 2 files; expected one: a.csv, b.csv"):
        inferred(tmp_path / "t.zip")


def test_the_path_of_a_database_is_its_address(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "plant.db")
    connection.execute("CREATE TABLE loads (day TEXT, load REAL)")
    connection.executemany("INSERT INTO loads VALUES (?, ?)", [(f"{day:%d.%m.%Y}", n) for n, day in enumerate(DAYS)])
    connection.commit()
    connection.close()
    out = tmp_path / "case.yaml"
    text = propose(tmp_path / "plant.db", out, Choices()).text
    assert text == propose(f"sqlite:///{tmp_path / 'plant.db'}", out, Choices()).text


@pytest.mark.parametrize(
    ("date_form", "clock"),
    [("%Y-%m-%d", "{:02}:00"), ("%d.%m.%Y", "{}:00"), ("%Y/%m/%d", "{}"), ("%d-%b-%Y", "{:02}:00:00")],
)
def test_a_date_and_a_clock_time_in_two_columns_are_one_time(tmp_path: Path, date_form: str, clock: str) -> None:
    times = [datetime(2020, 1, 20) + timedelta(hours=k) for k in range(1500)]
    rows = [f"{at.strftime(date_form)},{clock.format(at.hour)},{at.hour * 7 % 23}" for at in times]
    (tmp_path / "t.csv").write_text("\n".join(["Day,Hour,load", *rows]))
    proposal, table = table_of(tmp_path / "t.csv")
    assert table.columns == ["time", "load"]
    assert table["time"].to_list() == times
    assert ("left out", "Hour, it is a part of the time") in proposal.assumptions


def test_hours_from_1_to_24_are_not_joined_to_their_days(tmp_path: Path) -> None:
    """They could be the beginning or the end of each hour."""
    rows = [f"{day},{hour},{hour * 7 % 23}" for day in DAYS[:90] for hour in range(1, 25)]
    (tmp_path / "t.csv").write_text("\n".join(["Day,Hour,load", *rows]))
    assert inferred(tmp_path / "t.csv").read.time.column == "Day"
