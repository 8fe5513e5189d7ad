"""Tables of a DuckDB file: proposed, read without a lock, and refused by name."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from almanac.core.errors import SourceError
from almanac.data.propose import Choices, propose
from almanac.usecase import load_text
from tests.support import small

HOURS = 1200
#: Types as a warehouse has them: a time, a decimal, a flag, and a whole number of 128 bits.
LOADS = f"""
CREATE TABLE loads AS SELECT TIMESTAMP '2020-01-01' + n * INTERVAL 1 HOUR AS "when",
  CAST(10 + n % 24 + (n * 7919 % 100) / 100 AS DECIMAL(9, 2)) AS load, n % 3 = 0 AS peak, CAST(n AS HUGEINT) AS counter
FROM range({HOURS}) AS t(n)
"""


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    path = tmp_path / "plant.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(LOADS)
        connection.execute('CREATE VIEW evening AS SELECT * FROM loads WHERE hour("when") >= 18')
    return path


def source(query: str, **changes: Any) -> Any:
    given = {"type": "sql", "connection": "duckdb:///plant.duckdb", "query": query, **changes}
    return small.usecase(sources=[small.source(**given)])


METERS = "SELECT strftime(\"when\", '%Y-%m-%d %H:%M') AS time, load, 'a' AS kind FROM loads ORDER BY 1 LIMIT 24"


def test_a_use_case_is_proposed_and_its_table_is_read(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plant.parent)
    out = plant.parent / "cases" / "plant.yaml"
    out.parent.mkdir()
    with pytest.raises(SourceError, match=r"has 2 tables; name one by --table, .*: evening, loads"):
        propose("duckdb:///plant.duckdb", out, Choices(target="load"))
    case = load_text(propose("duckdb:///plant.duckdb", out, Choices(target="load", table="loads")).text, str(out))
    declared: Any = case.sources[0]
    assert (declared.connection, declared.query) == ("duckdb:///../plant.duckdb", "SELECT * FROM loads")
    table = small.take(case, out.parent)
    assert table.height == HOURS
    assert table[case.time.column].dt.replace_time_zone(None).to_list()[-1] == datetime(2020, 2, 19, 23)
    assert table["load"].to_list()[:3] == [10.0, pytest.approx(11 + 0.19), pytest.approx(12 + 0.38)]
    assert table["peak"].cast(int).to_list()[:4] == [1, 0, 0, 1]


def test_it_is_read_beside_other_readers_and_never_written(plant: Path) -> None:
    before = plant.read_bytes()
    reader = f"import duckdb; held = duckdb.connect({str(plant)!r}, read_only=True); print('read', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", reader], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"read\n"
        assert small.take(source(METERS), plant.parent).height == 24
        other.communicate(b"\n")
    with pytest.raises(SourceError, match=r"duckdb:///plant\.duckdb: the database refuses: .*read-only mode"):
        small.take(source("CREATE TABLE other (n INTEGER)"), plant.parent)
    assert plant.read_bytes() == before


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("SELECT content FROM read_text('{other}')", "Cannot access file"),
        ("COPY loads TO '{other}'", "Cannot access file"),
        ("EXPORT DATABASE '{other}'", "Cannot access file"),
        ("ATTACH '{other}' AS other", "Cannot access file"),
        ("SELECT * FROM glob('{other}')", "Cannot access file"),
        ("SET enable_external_access = true", "Cannot change configuration option"),
        ("LOAD httpfs", "Loading external extensions is disabled"),
    ],
)
def test_a_query_reaches_no_other_file(plant: Path, query: str, refused: str) -> None:
    other = plant.parent / "other.txt"
    other.write_text("secret")
    with pytest.raises(SourceError, match=f"the database refuses: .*{refused}"):
        small.take(source(query.format(other=other)), plant.parent)
    assert {path.name for path in plant.parent.iterdir()} <= {"plant.duckdb", "other.txt", "cache"}
    assert other.read_text() == "secret"


def test_an_address_opens_nothing_by_its_options(plant: Path) -> None:
    with pytest.raises(SourceError, match=r"without options; got access_mode, enable_external_access"):
        address = "duckdb:///plant.duckdb?enable_external_access=true&access_mode=READ_WRITE"
        small.take(source(METERS, connection=address), plant.parent)


@pytest.mark.parametrize(
    ("query", "changes", "message"),
    [
        (METERS, {"connection": "duckdb:///absent.duckdb"}, "no DuckDB database absent.duckdb, relative to the use"),
        (METERS, {"connection": "duckdb:///notes.txt"}, r"notes\.txt: the database refuses: .*not a valid DuckDB"),
        ("SELECT lod FROM loads", {}, r"plant\.duckdb: the database refuses: .*lod"),
        ("SELECT [1, 2] AS pair FROM loads", {}, "column 'pair' of the query holds List.*: select its parts"),
        ("SELECT uuid() AS id FROM loads", {}, "column 'id' of the query holds Object.*, or cast it"),
        ("SELECT INTERVAL 1 HOUR AS lag FROM loads", {}, "column 'lag' of the query holds Duration.*, or cast it"),
        ("SELECT 'a'::BLOB AS raw FROM loads", {}, "column 'raw' of the query holds Binary.*, or cast it"),
        (METERS, {"sha256": "0" * 64}, r"plant\.duckdb: has sha256 .* not the declared 0000"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(plant: Path, query: str, changes: dict[str, Any], message: str) -> None:
    (plant.parent / "notes.txt").write_text("no database, but a text of some length\n" * 200)
    with pytest.raises(SourceError, match=message):
        small.take(source(query, **changes), plant.parent)
    assert not (plant.parent / "absent.duckdb").exists()
