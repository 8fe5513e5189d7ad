"""Opening and migrating the database of the history."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.exc import DatabaseError, OperationalError

from almanac.core.errors import HistoryError
from operations.history.address import parse, shown
from operations.history.tables import RUNS, VERSIONS

_SCRIPTS = Path(__file__).parent / "migrations"


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
    head = ScriptDirectory.from_config(config).get_current_head()
    with _connected(url) as connection:
        context = MigrationContext.configure(connection)
        if context.get_current_revision() != head:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise HistoryError(
                    f"history {shown(parse(url))}: made by a newer release ({error}); update Almanac, or delete the "
                    "history and run `almanac history rebuild`"
                ) from None
        return str(head)


def run_count(engine: Engine) -> int:
    """Return the number of runs in the history."""
    with engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(RUNS)) or 0)


def use_cases(engine: Engine) -> list[str]:
    """Return the names of the use cases that have versions or runs."""
    with engine.connect() as connection:
        columns = (VERSIONS.c.use_case, RUNS.c.use_case)
        return sorted({name for column in columns for name in connection.scalars(select(column).distinct())})


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    except (OperationalError, DatabaseError) as error:
        # The driver's own words: they name host and file, and no password.
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "unknown error"
        raise HistoryError(f"history {shown(parse(url))}: cannot be opened ({reason})") from None
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    address = parse(url)
    engine = create_engine(address)
    if address.get_backend_name() == "sqlite":
        Path(str(address.database)).absolute().parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Readers of the console then never wait for a rebuild.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=30000")
