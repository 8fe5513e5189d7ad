"""Tables as people write them: units below the header, totals, signs and marks of thousands, quoted headers."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
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
