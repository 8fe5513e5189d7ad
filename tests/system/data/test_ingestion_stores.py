import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import SourceError
from almanac.data.propose import Choices, propose
from almanac.usecase import load_text
from tests.support import small
from tests.support.postgres import needs_postgres, wait_for


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"sources.meters: no place gave the file:\n  no file meters.csv, relative"):
        small.take(small.usecase(), tmp_path)


def test_a_directory_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "meters.csv").mkdir()
    with pytest.raises(SourceError, match=r"meters.csv is a directory; for its files as one table write a pattern"):
        small.take(small.usecase(), tmp_path)


def test_a_changed_file_is_read_anew_and_its_digest_checked(tmp_path: Path) -> None:
    path = tmp_path / "meters.csv"
    path.write_text(small.CSV)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    case = small.usecase(sources=[small.source(sha256=digest)])
    assert small.take(case, tmp_path)["load"][0] == 1.5
    path.write_text(small.CSV.replace("1.5", "9.5"))
    assert small.take(small.usecase(), tmp_path)["load"][0] == 9.5
    with pytest.raises(SourceError, match=rf"meters.csv: has sha256 [0-9a-f]{{64}}, not the declared {digest}"):
        small.take(case, tmp_path)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server on loopback with the bucket meters; the name of its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("s3") / "log"
    program = shutil.which("moto_server", path=str(Path(sys.executable).parent)) or "moto_server"
    with log.open("w") as stream:
        server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=stream, stderr=stream)
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.mark.skipif(find_spec("s3fs") is None and os.environ.get("CI") != "true", reason="s3fs is not installed")
def test_an_object_store(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    for name, value in {"ENDPOINT_URL": s3, "ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "key"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    store.mkdir("meters")
    case = small.usecase(sources=[small.source(path="s3://meters/2020/meters.csv")])
    with pytest.raises(SourceError, match=r"s3://meters/2020/meters.csv: there is no such object"):
        small.take(case, tmp_path)
    store.pipe_file("meters/2020/meters.csv", small.CSV.encode())
    assert small.take(case, tmp_path)["load"][0] == 1.5
    blobs = list((tmp_path / "cache" / "blobs").iterdir())
    kept = blobs[0].stat().st_mtime_ns
    assert small.take(case, tmp_path)["load"][0] == 1.5
    assert blobs[0].stat().st_mtime_ns == kept
    store.pipe_file("meters/2020/meters.csv", small.CSV.replace("1.5", "9.5").encode())
    assert small.take(case, tmp_path)["load"][0] == 9.5


def test_a_store_whose_library_is_not_there(tmp_path: Path) -> None:
    case = small.usecase(sources=[small.source(path="nosuch://meters/meters.csv")])
    with pytest.raises(SourceError, match=r"nosuch://meters/meters.csv: ValueError: Protocol not known: nosuch"):
        small.take(case, tmp_path)


QUERY = "SELECT time, load, kind FROM meters ORDER BY time"


def sql(connection: str | None, query: str = QUERY, **changes: Any) -> Any:
    where = {"connection": connection} if connection else {"connection_env": "METERS_DATABASE"}
    return small.usecase(sources=[small.source(type="sql", query=query, **where, **changes)])


def test_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'data.db'}")
    _fill(engine)
    expected = small.take_csv(small.CSV, tmp_path)
    table = small.take(sql("sqlite:///data.db"), tmp_path)
    assert table.equals(expected)
    digest = hashlib.sha256((tmp_path / "meters.csv").read_bytes()).hexdigest()
    with pytest.raises(SourceError, match=rf"sqlite:///data.db: has sha256 .* not the declared {digest}"):
        small.take(sql("sqlite:///data.db", sha256=digest), tmp_path)
    with pytest.raises(SourceError, match=r"sqlite:///data.db: the database refuses: .*no such table: absent"):
        small.take(sql("sqlite:///data.db", "SELECT * FROM absent"), tmp_path)
    with pytest.raises(SourceError, match=r"no SQLite database other.db, relative to the use case file"):
        small.take(sql("sqlite:///other.db"), tmp_path)
    assert not (tmp_path / "other.db").exists()
    with pytest.raises(SourceError, match=r"the environment variable METERS_DATABASE holds no database address"):
        small.take(sql(None), tmp_path)
    monkeypatch.setenv("METERS_DATABASE", "nonsense")
    with pytest.raises(SourceError, match=r"the database address is not one"):
        small.take(sql(None), tmp_path)


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE meters",
        "CREATE TABLE other (n INTEGER)",
        "DELETE FROM meters",
        "PRAGMA user_version = 7",
        "ATTACH '{other}' AS other",
        "VACUUM INTO '{other}'",
    ],
)
def test_a_query_of_sqlite_writes_nothing(tmp_path: Path, query: str) -> None:
    import sqlalchemy

    _fill(sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'da ta#1%.db'}"))
    before, other = (tmp_path / "da ta#1%.db").read_bytes(), tmp_path / "other.db"
    with pytest.raises(SourceError, match=r"the database refuses: .*(readonly database|too many attached)"):
        small.take(sql("sqlite:///da ta#1%.db", query.format(other=other)), tmp_path)
    assert (tmp_path / "da ta#1%.db").read_bytes() == before and not other.exists()


#: What a source of PostgreSQL refuses, and the server's word.
WRITES = [
    ("DELETE FROM meters RETURNING *", "read-only transaction"),
    ("SELECT 1; COMMIT; DELETE FROM meters", "multiple commands"),
    ("SET TRANSACTION READ WRITE; DELETE FROM meters", "multiple commands"),
]


@needs_postgres
def test_postgresql(tmp_path: Path, postgresql: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy

    address = f"postgresql+psycopg://meter:opensesame@127.0.0.1:{postgresql}/postgres"
    _fill(sqlalchemy.create_engine(address))
    monkeypatch.setenv("METERS_DATABASE", address)
    expected = small.take_csv(small.CSV, tmp_path)
    assert small.take(sql(None), tmp_path).equals(expected)
    aware = "SELECT time::timestamp AT TIME ZONE 'UTC' AS time, load::numeric(8, 2), kind FROM meters ORDER BY time"
    assert small.take(sql(None, aware), tmp_path).equals(expected)
    with pytest.raises(SourceError, match=r'relation "nothing" does not exist') as caught:
        small.take(sql(None, "SELECT * FROM nothing"), tmp_path)
    assert f"postgresql+psycopg://127.0.0.1:{postgresql}/postgres" in str(caught.value)
    assert "opensesame" not in str(caught.value)
    for query, refused in WRITES:
        with pytest.raises(SourceError, match=f"the database refuses: .*{refused}"):
            small.take(sql(None, query), tmp_path)
    assert small.take(sql(None), tmp_path).equals(expected)
    monkeypatch.setenv("METERS_DATABASE", address.replace(str(postgresql), "9"))
    with pytest.raises(SourceError, match=r"refused") as caught:
        small.take(sql(None), tmp_path)
    assert "opensesame" not in str(caught.value)


@needs_postgres
def test_a_use_case_is_proposed_for_a_table_of_postgresql(
    tmp_path: Path, postgresql: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"postgresql+psycopg://meter:opensesame@127.0.0.1:{postgresql}/postgres")
    with engine.begin() as connection:
        connection.exec_driver_sql('CREATE TABLE "Loads" (at TIMESTAMPTZ, mw NUMERIC(8, 2), cold BOOLEAN)')
        connection.exec_driver_sql(
            """INSERT INTO "Loads" SELECT TIMESTAMPTZ '2020-01-01 00:00Z' + k * INTERVAL '1 hour', (k * 7) %% 23 + 0.5,
            k %% 50 < 3 FROM generate_series(1499, 0, -1) AS k"""
        )
    engine.dispose()
    monkeypatch.setenv("PLANT", f"postgresql+psycopg://meter:opensesame@127.0.0.1:{postgresql}/postgres")
    proposal = propose("env:PLANT", tmp_path / "case.yaml", Choices(target="mw"))
    assert "opensesame" not in proposal.text
    case = load_text(proposal.text, "case.yaml")
    assert (case.sources[0].query, case.time.zone) == ('SELECT * FROM "Loads"', None)  # type: ignore[attr-defined]
    table = small.take(case, tmp_path)
    assert table.sort("at")["mw"].to_list() == [k * 7 % 23 + 0.5 for k in range(1500)]


def _fill(engine: Any) -> None:
    rows = pl.read_csv(small.CSV.encode()).with_columns(pl.col("load").cast(pl.Float64)).rows()
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE meters (time TEXT, load DOUBLE PRECISION, kind TEXT)")
        for row in rows:
            texts = ["NULL" if value is None else f"'{value}'" for value in row]
            connection.exec_driver_sql(f"INSERT INTO meters VALUES ({', '.join(texts)})")
    engine.dispose()
