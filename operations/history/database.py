"""Opening and migrating the database of the history."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.exc import DatabaseError

from almanac.core.errors import HistoryError
from operations.history.address import parse, shown
from operations.history.tables import PARTS, PUBLISHED, RUNS, VERSIONS

_SCRIPTS = Path(__file__).parent / "migrations"
#: Alembic keeps the migration under way in a global of its module.
_MIGRATING = threading.Lock()
#: Number of the lock that writers of a history on PostgreSQL hold: "almanac" as a number.
_WRITER = int.from_bytes(b"almanac")


def open_history(url: str) -> Engine:
    """Return the history's database, migrated to this release's tables.

    Args:
        url: sqlite:///FILE or postgresql://USER@HOST/DATABASE.

    Raises:
        HistoryError: it cannot be opened, is of a newer release, or is no history.
    """
    migrate(url)
    return _engine(url)


def migrate(url: str) -> str:
    """Migrate the database to this release's tables, and return the revision that it then has.

    Raises:
        HistoryError: it cannot be opened, is of a newer release, or is no history.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    head = str(ScriptDirectory.from_config(config).get_current_head())
    with _opened(url) as engine:
        with engine.connect() as connection:
            if MigrationContext.configure(connection).get_current_revision() == head:
                return head
        with _MIGRATING, writing(engine) as connection:
            # Another program may have migrated meanwhile; then this changes nothing.
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise HistoryError(
                    f"history {shown(parse(url))}: made by a newer release ({error}); update Almanac, or delete the "
                    "history and run `almanac history rebuild`"
                ) from None
    return head


@contextmanager
def reported(engine: Engine) -> Iterator[None]:
    """Raise a database's error as one of the history, without user and password."""
    try:
        yield
    except DatabaseError as error:
        # The driver's own words: they name host and file, and no password.
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "unknown error"
        raise HistoryError(f"history {shown(engine.url)}: cannot be opened ({reason})") from None


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection whose transaction no other writer's overlaps, in this process or another; readers go on."""
    with reported(engine), engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # The driver would begin at the first change, after what was read may have become untrue.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _WRITER})
        yield connection


def run_count(engine: Engine) -> int:
    """Return the number of runs in the history that have a directory; those of a cluster are in the registry."""
    published = select(PARTS.c.key).where(PARTS.c.kind == PUBLISHED)
    count = select(func.count()).select_from(RUNS).where(RUNS.c.directory.not_in(published))
    with engine.connect() as connection:
        return int(connection.scalar(count) or 0)


def use_cases(engine: Engine) -> list[str]:
    """Return the names of the use cases that have versions or runs."""
    with engine.connect() as connection:
        columns = (VERSIONS.c.use_case, RUNS.c.use_case)
        return sorted({name for column in columns for name in connection.scalars(select(column).distinct())})


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    engine = _engine(url)
    try:
        with reported(engine):
            yield engine
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    address = parse(url)
    if address.get_backend_name() == "postgresql":
        # A database that was made in the locale C would give its texts as bytes.
        # A connection is asked before its use, since the server may have been started anew.
        return create_engine(address, connect_args={"client_encoding": "utf8"}, pool_pre_ping=True)
    engine = create_engine(address)
    if address.get_backend_name() == "sqlite":
        Path(str(address.database)).absolute().parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Before the journal's mode, whose first change waits for whoever else opens the file.
    connection.execute("PRAGMA busy_timeout=120000")
    # Readers of the console then never wait for a rebuild.
    connection.execute("PRAGMA journal_mode=WAL")
