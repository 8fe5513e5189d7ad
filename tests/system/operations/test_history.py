"""The history on PostgreSQL: the same rows, by digest, as on SQLite; and programs that make it at the same time."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from almanac.core.files import read_json, write_json
from operations.console.app import build
from operations.console.settings import ConsoleSettings
from operations.history import Origins, digest, open_history, rebuild, update
from tests.support.console import serving
from tests.support.operations_world import write_world
from tests.support.postgres import needs_postgres
from tests.support.server import ROOT


@needs_postgres
def test_both_databases_hold_the_same(tmp_path: Path, postgresql: int) -> None:
    world = write_world(tmp_path, trainings=20, monitorings=30)
    engines = [
        open_history(f"sqlite:///{tmp_path}/history.db"),
        open_history(f"postgresql://meter:opensesame@127.0.0.1:{postgresql}/postgres"),
    ]
    # PostgreSQL holds no NUL in a text, and a record may hold anything.
    record = next(world.runs.glob("demo/2*/run.json"))
    write_json(record, read_json(record) | {"runner": "sub\x00process"})
    counts = [rebuild(engine, world.origins) for engine in engines]
    assert counts[0] == counts[1]
    assert counts[0]["windows"] == 90
    assert digest(engines[0]) == digest(engines[1])
    rebuild(engines[1], world.origins)
    assert digest(engines[0]) == digest(engines[1])
    next(world.runs.glob("demo/2*/gate.json")).unlink()
    next(Path(world.log).glob("demo/*.jsonl")).unlink()
    assert update(engines[0], world.origins) == update(engines[1], world.origins)
    assert digest(engines[0]) == digest(engines[1])
    for engine in engines:
        engine.dispose()


MAKE = """
import sys, threading
from pathlib import Path
from operations.console.app import build
from operations.console.settings import ConsoleSettings
from operations.history import Origins, migrate, open_history, rebuild
url, registry, runs = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
found = []
threads = [threading.Thread(target=lambda: found.append(migrate(url))) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
rebuild(open_history(url), Origins(registry, Path(runs)))
print(*found)
"""


@needs_postgres
def test_a_database_without_an_encoding_holds_the_same(tmp_path: Path, postgresql: int) -> None:
    world, address = write_world(tmp_path), f"postgresql://meter:opensesame@127.0.0.1:{postgresql}"
    server = create_engine(
        f"postgresql+psycopg{address.removeprefix('postgresql')}/postgres", isolation_level="AUTOCOMMIT"
    )
    with server.connect() as connection:
        plain = "CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        connection.execute(text(plain))
    engines = [open_history(f"{address}/plain"), open_history(f"sqlite:///{tmp_path}/history.db")]
    for engine in engines:
        rebuild(engine, world.origins)
    assert digest(engines[0]) == digest(engines[1])
    for engine in (server, *engines):
        engine.dispose()


@needs_postgres
def test_the_console_outlives_its_database(tmp_path: Path, postgresql: int) -> None:
    world, address = write_world(tmp_path), f"postgresql://meter:opensesame@127.0.0.1:{postgresql}"
    own = f"postgresql+psycopg{address.removeprefix('postgresql')}"
    server = create_engine(f"{own}/postgres", isolation_level="AUTOCOMMIT")

    def order(command: str) -> None:
        with server.connect() as connection:
            connection.execute(text(command))

    order("CREATE DATABASE room")
    settings = ConsoleSettings(f"{address}/room", world.origins, None, None, None, False, tmp_path / "audit.jsonl")
    app = build(settings)
    with serving(app, {}) as console:
        console.get("/login", params={"token": console.room.links.issue("olga", "admin")})
        assert console.get("/versions").status_code == 200
        # A server that is started anew has none of the connections.
        order("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'room'")
        console.room.memory.refresh()
        assert (console.get("/history").status_code, console.room.memory.problem) == (200, "")
        order("DROP DATABASE room WITH (FORCE)")
        console.room.memory.refresh()
        assert "cannot be opened" in console.room.memory.problem
        assert "opensesame" not in console.room.memory.problem
        answer = console.get("/versions")
        assert (answer.status_code, "does not answer" in answer.text) == (503, True)
        order("CREATE DATABASE room")
        open_history(f"{address}/room").dispose()
        console.room.memory.refresh()
        assert (console.get("/versions").status_code, console.room.memory.problem) == (200, "")
    server.dispose()


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def test_programs_that_make_it_at_once_make_it_once(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    world = write_world(tmp_path / "world")
    url = f"sqlite:///{tmp_path}/history.db"
    if database == "postgresql":
        url = f"postgresql://meter:opensesame@127.0.0.1:{request.getfixturevalue('postgresql')}/postgres"
    command = [sys.executable, "-c", MAKE, url, world.registry, str(world.runs)]
    makers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("\n")
        maker.stdin.flush()
    assert [maker.communicate(timeout=300)[0].split() for maker in makers] == 2 * [["0003", "0003"]]
    alone = open_history(f"sqlite:///{tmp_path}/alone.db")
    rebuild(alone, Origins(world.registry, world.runs))
    engine = open_history(url)
    assert digest(engine) == digest(alone)
    for each in (engine, alone):
        each.dispose()
