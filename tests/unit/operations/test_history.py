"""The history holds what its origins say, is made again to the same bytes, and refuses what it cannot read."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, select, text

from almanac.core.errors import AlmanacError, HistoryError
from almanac.core.files import read_json, write_json
from operations.history import Origins, digest, export, migrate, open_history, rebuild
from operations.history.tables import APPROVALS, INTERNAL, METADATA, METRICS, PLANS, REQUESTS, RUNS, VERSIONS, WINDOWS
from tests.support.operations_world import World, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("operations"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_history(f"sqlite:///{tmp_path}/history.db")
    yield engine
    engine.dispose()


def rows(engine: Engine, table: str) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(select(METADATA.tables[table]))]


def test_it_holds_what_the_origins_say(engine: Engine, world: World) -> None:
    counts = rebuild(engine, world.origins)
    assert counts == {table: len(rows(engine, table)) for table in METADATA.tables}
    assert [(row["number"], row["status"]) for row in rows(engine, VERSIONS.name)] == [
        (1, "production"),
        (2, "awaits approval"),
    ]
    assert sorted(str(row["kind"]) for row in rows(engine, RUNS.name)) == 3 * ["monitoring"] + 2 * ["training"]
    assert [row["gate_passed"] for row in rows(engine, RUNS.name) if row["kind"] == "training"] == [True, False]
    assert sum(bool(row["breach"]) for row in rows(engine, WINDOWS.name)) == 1
    figures = rows(engine, METRICS.name)
    assert {row["value"] for row in figures if (row["name"], row["kind"]) == ("rmse", "version")} == {19.0, 20.0}
    assert [row["status"] for row in rows(engine, PLANS.name)] == ["open"]
    assert [(row["hour"], row["count"]) for row in rows(engine, REQUESTS.name)] == [
        ("2026-01-01T00:00:00", 2),
        ("2026-01-01T01:00:00", 1),
    ]


def test_it_is_made_again_to_the_same_bytes(engine: Engine, world: World, tmp_path: Path) -> None:
    rebuild(engine, world.origins)
    first = b"".join(export(engine))
    rebuild(engine, world.origins)
    assert b"".join(export(engine)) == first
    other = open_history(f"sqlite:///{tmp_path}/other.db")
    rebuild(other, world.origins)
    assert digest(other) == digest(engine)


def test_decisions_of_people_are_found_in_every_log(engine: Engine, world: World, tmp_path: Path) -> None:
    from governance.registry import Registry
    from orchestration.retraining import policy
    from orchestration.retraining.audit_log import AuditLog

    copy = tmp_path / "registry"
    shutil.copytree(world.registry, copy)
    Registry(str(copy)).approve("demo", 2, who="bob", why="read the cards")
    log = AuditLog(str(copy), "demo")
    policy.approve(log, log.entries()[0].plan, who="bob", why="wind is broken")
    rebuild(engine, Origins(str(copy), world.runs))
    decisions = {(row["log"], row["subject"], row["who"]) for row in rows(engine, APPROVALS.name)}
    assert decisions == {
        ("registry", "version 2", "bob"),
        ("remediation", f"plan {log.entries()[0].plan[:12]}", "bob"),
    }
    assert [row["status"] for row in rows(engine, PLANS.name)] == ["approved"]


def test_a_record_that_cannot_be_read_is_named_and_changes_nothing(
    engine: Engine, world: World, tmp_path: Path
) -> None:
    rebuild(engine, world.origins)
    before = digest(engine)
    runs = tmp_path / "runs"
    shutil.copytree(world.runs, runs)
    record = next(runs.rglob("run.json"))
    whole = record.read_text()
    stepless = json.dumps({**json.loads(whole), "steps": [{"name": "ingestion"}]})
    for damage in ("{", "[]", json.dumps({"run_id": "x"}), stepless):
        record.write_text(damage)
        with pytest.raises(HistoryError, match=record.parent.name):
            rebuild(engine, Origins(world.registry, runs))
    record.write_text(whole)
    result = next(runs.rglob("monitoring.json"))
    good = read_json(result)
    for window in ({}, {**good["windows"][0], "outputs": {"load_1h": "drifted"}}):
        write_json(result, {**good, "windows": [window]})
        with pytest.raises(HistoryError, match=result.parent.name):
            rebuild(engine, Origins(world.registry, runs))
    write_json(result, good)
    twin = next(path for path in world.runs.rglob("run.json") if path.parent.name != record.parent.name)
    record.write_text(twin.read_text())
    with pytest.raises(HistoryError, match="the same thing twice"):
        rebuild(engine, Origins(world.registry, runs))
    with pytest.raises(AlmanacError, match="there is no registry here"):
        rebuild(engine, Origins(str(tmp_path / "nothing"), runs))
    assert digest(engine) == before


def test_migrations_make_the_tables_that_the_code_reads(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    revision = migrate(url)
    assert migrate(url) == revision
    found = inspect(create_engine(url))
    tables = {**METADATA.tables, **INTERNAL.tables}
    assert set(found.get_table_names()) - {"alembic_version"} == set(tables)
    for name, table in tables.items():
        assert {column["name"]: column["nullable"] for column in found.get_columns(name)} == {
            column.name: column.nullable for column in table.columns
        }
        assert set(found.get_pk_constraint(name)["constrained_columns"]) == {each.name for each in table.primary_key}


def test_a_history_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    migrate(url)
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(HistoryError, match="made by a newer release"):
        open_history(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("history.db", "is not a URL; expected sqlite:///FILE"),
        ("mysql://ann:opensesame@host/db", "mysql is not supported"),
        ("sqlite://", "names no file"),
        ("postgresql://ann:opensesame@127.0.0.1:9/db", "cannot be opened"),
    ],
)
def test_an_address_that_cannot_work_is_named_without_its_password(url: str, message: str) -> None:
    with pytest.raises(HistoryError, match=message) as caught:
        open_history(url)
    assert "opensesame" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_text("a letter\n" * 1000)
    with pytest.raises(HistoryError, match=r"history\.db: cannot be opened"):
        open_history(f"sqlite:///{tmp_path}/history.db")
