"""Wrong inputs of more than sixty kinds: each gives a message with file, row or field, and nothing is half-written."""

import gzip
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from almanac.core.errors import AlmanacError
from orchestration.commands.app import app
from tests.support.error_page import is_listed

STATEMENT = {"text": "a", "author": "b", "date": "2026-01-01"}
CASE: dict[str, Any] = {
    "name": "demand",
    "time": {"column": "when", "frequency": "1h"},
    "sources": [{"name": "table", "type": "file", "path": "t.csv"}],
    "columns": {"load": {"type": "float"}},
    "targets": [{"column": "load"}],
    "split": {"test": "last 10d"},
    "evaluation": {"block": "1d"},
}


def hours(count: int = 1500) -> pl.DataFrame:
    times = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(count)]
    return pl.DataFrame({"when": times, "load": [float(k * 7 % 23) for k in range(count)]})


def text(table: pl.DataFrame) -> str:
    return table.with_columns(pl.col("when").dt.to_string("iso:strict")).write_csv()


def lines(change: Callable[[list[str]], None]) -> bytes:
    """Return the table's text after a change of its lines."""
    rows = text(hours()).splitlines()
    change(rows)
    return "\n".join(rows).encode()


def put(row: int, line: str) -> bytes:
    return lines(lambda rows: rows.__setitem__(row, line))


def failed(*words: str | Path) -> str:
    """Return the message of a command that fails as an error of Almanac, or as wrong usage."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code in (1, 2), done.output
    if done.exit_code == 2:
        return done.output
    # Anything else would be a traceback.
    assert isinstance(done.exception, AlmanacError | OSError), repr(done.exception)
    assert is_listed(str(done.exception)), f"docs/reference/errors.md does not have: {done.exception}"
    return str(done.exception)


#: Name of a file, its bytes, options of `new`, and what the message must say.
TABLES: list[tuple[str, bytes, list[str], list[str]]] = [
    ("empty.csv", b"", [], ["empty.csv", "is empty"]),
    ("blank.csv", b"  \n\n", [], ["blank.csv", "is empty"]),
    ("header.csv", b"when,load\n", [], ["header.csv", "no rows"]),
    ("t.docx", b"PK", [], ["t.docx", "expected a name that ends in .csv"]),
    ("t", b"when,load\n", [], ["t: expected a name that ends in .csv"]),
    ("t.parquet", b"PAR1 broken", [], ["t.parquet", "cannot be read as parquet"]),
    ("t.xlsx", b"PK\x03\x04 broken", [], ["t.xlsx", "cannot be read as excel"]),
    ("t.jsonl", b'{"when": \n', [], ["t.jsonl", "cannot be read as jsonl"]),
    ("t.csv.gz", b"no gzip", [], ["t.csv.gz", "gzip"]),
    ("t.csv.xz", b"no xz", [], ["t.csv.xz", "xz"]),
    ("t.csv.zip", b"no zip", [], ["t.csv.zip", "zip"]),
    ("twice.csv", b"when,load,load\n2020-01-01,1,2\n", [], ["twice.csv", "load"]),
    ("ragged.csv", b"when,load\n2020-01-01,1,2,3\n", [], ["ragged.csv", "cannot be read as csv"]),
    ("notime.csv", b"a,b\n1,2\n3,4\n", [], ["notime.csv", "no column holds times", "--time"]),
    ("two.csv", b"a,b,y\n2020-01-01,2020-02-01,1\n2020-01-02,2020-02-02,2\n", [], ["a, b", "--time"]),
    ("ambiguous.csv", b"d,y\n03/04/2020,1\n04/04/2020,2\n", [], ["ambiguous", "2020-04-03", "2020-03-04"]),
    ("mixed.csv", b"d,y\n13/04/2020,1\n04/14/2020,2\n", [], ["'d'", "the day first in some rows"]),
    ("total.csv", b"d;y\n13.04.2020;1\n14.04.2020;2\nSumme;3\n", [], ["'d'", "row 3 'Summe'", "leave the row out"]),
    ("t.csv", text(hours()).encode(), ["--time-format", "%d"], ["--time-format %d", "reads none", "when, load"]),
    ("t.csv", text(hours()).encode(), ["--time", "when", "--time-format", "%Y"], ["row 1", "'when'", "form %Y"]),
    ("t.csv", text(hours()).encode(), ["--time-format", "%I:%M"], ["--time-format %I:%M", "no format"]),
    ("t.csv", put(7, "2020-13-01T05:00:00,1"), ["--time", "when"], ["t.csv", "row 7 '2020-13-01T05:00:00'"]),
    ("t.csv", put(7, ",1"), [], ["t.csv", "row 7 None"]),
    ("t.csv", text(hours()).encode(), ["--target", "lod"], ["--target lod", "there is when, load"]),
    ("t.csv", text(hours()).encode(), ["--time", "wen"], ["--time wen", "there is when, load"]),
    ("t.csv", text(hours()).encode(), ["--time", "load"], ["'load' is no time", "ISO 8601"]),
    ("t.csv", text(hours()).encode(), ["--entity", "zone"], ["--entity zone", "there is when, load"]),
    ("t.csv", text(hours()).encode(), ["--target", "when"], ["--target when", "those are load"]),
    ("t.csv", text(hours()).encode(), ["--horizon", "soon"], ["--horizon", "not a duration"]),
    ("t.csv", text(hours()).encode(), ["--horizon", "90min"], ["--horizon 90min", "steps of 1h"]),
    ("t.csv", text(hours()).encode(), ["--horizon", "0h"], ["--horizon 0h", "at least one"]),
    ("t.csv", text(hours()).encode(), ["--zone", "Mars/Base"], ["--zone Mars/Base", "such as Europe/Berlin"]),
    ("t.csv", text(hours()).encode(), ["--known-ahead", "plan"], ["--known-ahead plan", "there is when, load"]),
    ("t.csv", text(hours()).encode(), ["--known-ahead", "load"], ["--known-ahead load", "is the target"]),
    ("t.csv", text(hours()).encode(), ["--known-ahead", "when"], ["--known-ahead when", "those are load"]),
    ("t.csv", text(hours()).encode(), ["--query", "SELECT 1"], ["--query SELECT 1", "sqlite:///plant.db"]),
    ("t.csv", text(hours()).encode(), ["--table", "loads"], ["--table loads", "sqlite:///plant.db"]),
    ("t.csv", text(hours(100)).encode(), [], ["t.csv", "expected"]),
    ("t.csv", text(hours(1)).encode(), [], ["t.csv"]),
    ("t.csv", text(hours().with_columns(load=pl.lit(2.0))).encode(), [], ["'load' is 2 in every row"]),
    ("t.csv", text(hours().with_columns(load=pl.lit("a"))).encode(), [], ["no column holds numbers"]),
    ("t.csv", text(hours().with_columns(other=pl.col("load"))).encode(), [], ["--target", "load, other"]),
    ("t.csv", text(pl.concat([hours(), hours()])).encode(), [], ["rows 1 and 1501 share 2020-01-01"]),
    ("t.csv", put(25, "2124-01-02T00:00:00,1"), [], ["row 25", "2124"]),
    ("t.csv", put(25, "1824-01-02T00:00:00,1"), [], ["row", "grid"]),
]

ENCODED = {"kind": "encoded", "group": "a", "columns": ["load"], "encoding": "target"}
#: Changes of the use case, and what the message must say; the file is named besides.
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({"nam": "demand"}, ["nam: unknown field", "did you mean 'name'?"]),
    ({"name": "Demand Berlin"}, ["name: ", "pattern"]),
    ({"name": None}, ["name: "]),
    ({"time": {"column": "when"}}, ["time.frequency: is missing"]),
    ({"time": {"frequency": "monthly"}}, ["time.frequency", "'monthly' is not a duration"]),
    ({"time": {"frequency": "0h"}}, ["time.frequency", "no length"]),
    ({"time": "when"}, ["time: "]),
    ({"targets": []}, ["targets: ", "at least 1 item"]),
    ({"targets": [{"column": "lod"}]}, ["targets.lod_1h.column: no column named lod", "known: load"]),
    ({"targets": [{"column": "load", "horizon": "90min"}]}, ["horizon: 90min is not a whole number of steps of 1h"]),
    ({"targets": [{"column": "load"}, {"column": "load"}]}, ["targets: declared twice: load_1h"]),
    ({"targets": [{"column": "load", "task": "classification"}]}, ["'above' belongs to task classification"]),
    ({"columns": {"load": {"type": "number"}}}, ["columns.load.type", "'float'"]),
    ({"columns": {"load": {"type": "float", "min": 3, "max": 1}}}, ["min 3.0 is above max 1.0"]),
    ({"sources": [{"name": "t", "type": "ftp"}]}, ["sources.0.type: there is no source 'ftp'", "known are file"]),
    ({"sources": [{"name": "t", "type": "file"}]}, ["sources.0.path: is missing"]),
    ({"split": {}}, ["give 'test'"]),
    ({"split": {"test": "30 days"}}, ["split.test", "such as last 365d"]),
    ({"split": {"test_from": "next year"}}, ["split.test_from: is no date", "2026-11-21"]),
    ({"split": {"test": "last 1d"}}, ["shorter than two blocks of 1d"]),
    ({"training": {"candidates": [{"name": "a", "kind": "lightgbm", "fixed": {"num_leafs": 3}}]}}, ["num_leaves"]),
    (
        {
            "targets": [{"column": "load", "task": "classification", "above": 3}],
            "training": {"candidates": [{"name": "a", "kind": "lightgbm", "predict": "difference"}]},
        },
        ["training.candidates.a.predict: the classification load_1h has no difference", "leave it out"],
    ),
    ({"targets": [{"column": "load", "horizon": 5}]}, ["targets.0.horizon: is not a duration", "such as 30min"]),
    ({"training": {"folds": {"count": 1}}}, ["training.folds.count", "greater than or equal to 2"]),
    ({"features": {"items": [{"kind": "lagg", "group": "a"}]}}, ["there is no feature kind 'lagg'"]),
    ({"features": {"items": [{"kind": "lag", "group": "a", "columns": ["lod"], "lags": ["1h"]}]}}, ["lod"]),
    ({"features": {"items": [{"kind": "value", "group": "a", "columns": ["load"]}] * 2}}, ["load is declared twice"]),
    ({"features": {"items": [{**ENCODED}]}}, ["'target' belongs to encoding target"]),
    ({"features": {"items": [{**ENCODED, "target": "lod"}]}}, ["no target named lod", "known: load_1h"]),
    ({"features": {"items": [{**ENCODED, "target": "load_1h"}]}}, ["load is not a category column"]),
    ({"gates": [{"rule": "best"}]}, ["there is no gate rule 'best'"]),
    ({"evaluation": {"bands": {"edges": [3, 1]}}}, ["evaluation.bands.edges: must ascend"]),
    ({"governance": {"contact": "nowhere"}}, ["'nowhere' is no address"]),
    (
        {"governance": {"statements": {"caveat": {"text": "a", "author": "b", "date": "2026-01-01"}}}},
        ["caveat: unknown"],
    ),
    ({"governance": {"risk": {"severity": "awful"}}}, ["risk.severity: 'awful' is no answer", "negligible"]),
    ({"schedule": {"retrain": "monthly"}}, ["schedule.retrain: 'monthly' has 1 fields"]),
]

#: Bytes of the table of CASE, and what `check --data` must say.
DATA: list[tuple[bytes, list[str]]] = [
    (put(9, "2020-01-01T08:00:00,abc"), ["row 9", "'abc'", "not a number"]),
    (put(9, "2020-01-01T08:30:00,1"), ["row 9", "off the grid of 1h"]),
    (put(9, "2020-01-01T07:00:00,1"), ["row 9", "duplicates"]),
    (put(9, "2124-01-01T08:00:00,1"), ["row 9", "2124"]),
    (put(9, "yesterday,1"), ["row 9", "'yesterday'"]),
    (put(0, "when,lod"), ["lod"]),
    (lines(lambda rows: rows.reverse()), ["column 'when' is missing"]),
    (lines(lambda rows: rows.__setitem__(slice(1, None), rows[:0:-1])), ["unsorted"]),
    (lines(lambda rows: rows.__delitem__(slice(2, None))), ["outside the data"]),
    (gzip.compress(text(hours()).encode()), ["sources.table"]),
]


#: Addresses of databases, options of `new`, and what the message must say.
ADDRESSES: list[tuple[str, list[str], list[str]]] = [
    ("sqlite:///plant.db", [], ["no SQLite database plant.db"]),
    ("postgresql+psycopg://me:opensesame@127.0.0.1:1/plant", [], ["me:***@127.0.0.1", "write env:NAME"]),
    (
        "postgresql+psycopg://127.0.0.1:1/plant",
        ["--table", "loads"],
        ["postgresql+psycopg://127.0.0.1:1/plant", "connection"],
    ),
    ("orakel://host/plant", ["--query", "SELECT 1"], ["no driver for orakel is installed"]),
    ("env:NOWHERE", [], ["environment variable NOWHERE holds no database address"]),
    ("env:BROKEN", [], ["the database address is not one", "postgresql+psycopg://host/database"]),
]


@pytest.mark.parametrize(("name", "content", "options", "words"), TABLES)
def test_a_wrong_table_is_refused_by_new(
    tmp_path: Path, name: str, content: bytes, options: list[str], words: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    message = failed("new", tmp_path / name, "--out", tmp_path / "case.yaml", *options)
    assert [word for word in words if word not in message] == [], message
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("change", "words"), CASES)
def test_a_wrong_use_case_is_refused_by_check(tmp_path: Path, change: dict[str, Any], words: list[str]) -> None:
    path = tmp_path / "demand.yaml"
    path.write_text(yaml.safe_dump({**CASE, **change}))
    message = failed("check", path)
    assert [word for word in words if word not in message] == [], message
    assert [entry.name for entry in tmp_path.iterdir()] == ["demand.yaml"]


@pytest.mark.parametrize(("content", "words"), DATA)
def test_a_wrong_table_is_refused_by_check(
    tmp_path: Path, content: bytes, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "t.csv").write_bytes(content)
    path = tmp_path / "demand.yaml"
    path.write_text(yaml.safe_dump(CASE))
    message = failed("check", path, "--data")
    assert [word for word in words if word not in message] == [], message
    assert sorted(entry.name for entry in tmp_path.iterdir()) in (
        ["demand.yaml", "t.csv"],
        ["cache", "demand.yaml", "t.csv"],
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["must be a mapping"]),
        ("- a\n- b\n", ["must be a mapping"]),
        ("name: a\nname: b\n", ["key 'name' is given twice"]),
        ("name: [a\n", ["is not YAML"]),
        ("\x00", ["is not YAML"]),
        (json.dumps({"name": "a"}), ["time: is missing", "sources: is missing", "targets: is missing"]),
    ],
)
def test_a_file_that_is_no_use_case(tmp_path: Path, content: str, words: list[str]) -> None:
    path = tmp_path / "demand.yaml"
    path.write_text(content)
    message = failed("check", path)
    assert [word for word in ("demand.yaml", *words) if word not in message] == [], message


@pytest.mark.parametrize(("address", "options", "words"), ADDRESSES)
def test_a_wrong_address_is_refused_by_new(
    tmp_path: Path, address: str, options: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROKEN", "nothing like an address")
    message = failed("new", address, "--out", tmp_path / "case.yaml", *options)
    assert [word for word in words if word not in message] == [], message
    assert "opensesame" not in message
    assert list(tmp_path.iterdir()) == []


def test_there_are_more_than_sixty_of_them() -> None:
    assert len(TABLES) + len(CASES) + len(DATA) + len(ADDRESSES) >= 80
