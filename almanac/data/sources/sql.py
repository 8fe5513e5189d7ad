"""Results of queries to SQL databases."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic import model_validator

from almanac.core.errors import SourceError
from almanac.data.cache import Content
from almanac.data.sources import FetchContext, SourceKind
from almanac.usecase.data_section import SourceBase
from almanac.usecase.types import Address

if TYPE_CHECKING:
    import polars as pl
    from sqlalchemy.engine import URL, Engine


class _SqliteReader(sqlite3.Connection):
    """A connection that reads its own file and no other: of SQLite, DROP would count at once and ATTACH make a file."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(f"file:{quote(path)}?mode=ro", uri=True, **options)
        self.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)


@dataclass(frozen=True)
class _File:
    """A database that is a file: its name, options of a connection that only reads it, and the extra of its driver."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    extra: str = ""


#: A connection to DuckDB locks the file unless it only reads, and its SQL reads and writes any other file by default.
_DUCKDB = {"read_only": True, "config": {"enable_external_access": False, "lock_configuration": True}}
#: By SQLAlchemy's name. Python brings a driver for SQLite.
_FILES = {"sqlite": _File("SQLite", {"factory": _SqliteReader}), "duckdb": _File("DuckDB", _DUCKDB, "duckdb")}
#: By the driver's name: of several statements a first one could end the transaction that only reads, and a prepared
#: statement is one.
_ONE_STATEMENT = {"psycopg": {"prepare_threshold": 0}}


class SqlSource(SourceBase):
    """The answer to a query against PostgreSQL, SQLite or DuckDB, in a connection that only reads."""

    type: Literal["sql"]
    connection: Address | None = None
    """SQLAlchemy address without a password, such as sqlite:///data.db."""
    connection_env: str | None = None
    """Or the environment variable that holds the address, for one with a password."""
    query: str
    """The query."""

    @model_validator(mode="after")
    def _one_connection(self) -> "SqlSource":
        if (self.connection is None) == (self.connection_env is None):
            raise ValueError("give either 'connection' or 'connection_env'")
        return self


def _attempts(source: SqlSource, context: FetchContext) -> list[Callable[[], Content]]:
    return [lambda: context.cache.see(*result_of(source, context.base))]


def result_of(source: SqlSource, base: Path) -> tuple[bytes, str]:
    """Return the result of the query as CSV, and the address without user and password.

    A query with a declared digest needs an ORDER BY.

    Args:
        source: The source.
        base: Directory that the path of a database's file is relative to.

    Raises:
        SourceError: the database does not answer, or refuses the query, or a column holds no numbers, texts or times.
    """
    import polars as pl
    import polars.selectors as cs
    import sqlalchemy

    with _opened(source, base) as engine, engine.connect() as connection:
        result = connection.execute(sqlalchemy.text(source.query))
        rows, names = result.fetchall(), list(result.keys())
    # CSV, because a digest of it depends on the values and not on the version of a file format.
    table = pl.DataFrame(
        [tuple(row) for row in rows], schema=names, orient="row", infer_schema_length=None, strict=False
    )
    _check_kinds(table, _shown(declared_url(source)))
    # As true and false they could not be read as numbers.
    return table.with_columns(cs.boolean().cast(pl.Int8)).write_csv().encode(), _shown(declared_url(source))


def _check_kinds(table: "pl.DataFrame", shown: str) -> None:
    """Refuse columns that a CSV cannot hold: lists, records, bytes, intervals and objects such as UUIDs."""
    import polars as pl

    for name, kind in table.schema.items():
        if kind.is_nested() or kind in (pl.Binary, pl.Duration, pl.Object):
            raise SourceError(
                f"{shown}: column {name!r} of the query holds {kind}; expected one number, text or time a row: select "
                "its parts, or cast it"
            )


def tables_of(source: SqlSource, base: Path) -> list[str]:
    """Return the names of the database's tables and views, sorted.

    Raises:
        SourceError: the database does not answer.
    """
    import sqlalchemy

    with _opened(source, base) as engine:
        inspector = sqlalchemy.inspect(engine)
        return sorted({*inspector.get_table_names(), *inspector.get_view_names()})


def quoted(source: SqlSource, name: str) -> str:
    """Return a table's name as the database's own SQL writes it."""
    return str(declared_url(source).get_dialect()().identifier_preparer.quote(name))


@contextmanager
def _opened(source: SqlSource, base: Path) -> Iterator["Engine"]:
    """Yield the engine of a database, whose errors become errors of the source."""
    import sqlalchemy

    declared = declared_url(source)
    shown = _shown(declared)
    url = _resolved(declared, base)
    try:
        options = {**_file(url).options, **_ONE_STATEMENT.get(url.get_driver_name(), {})}
        engine = sqlalchemy.create_engine(url, connect_args=options)
        try:
            yield engine.execution_options(postgresql_readonly=True)
        finally:
            engine.dispose()
    except sqlalchemy.exc.NoSuchModuleError:
        extra = _file(declared).extra
        remedy = f"; install it by: pip install 'almanac[{extra}]'" if extra else ""
        raise SourceError(f"{shown}: no driver for {declared.drivername} is installed{remedy}") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise SourceError(f"{shown}: the database refuses: {_reason(error)}") from None
    except ImportError as error:
        raise SourceError(f"{shown}: the driver is not installed: {error}") from None


def _shown(url: "URL") -> str:
    import sqlalchemy

    # Built from its public parts: the query of an address may hold a password too.
    public = sqlalchemy.URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
    return public.render_as_string()


def declared_url(source: SqlSource) -> "URL":
    """Return the address that a source declares.

    Raises:
        SourceError: the environment variable is empty, or the address is none.
    """
    import sqlalchemy

    address = source.connection
    if address is None:
        address = os.environ.get(source.connection_env or "")
        if not address:
            raise SourceError(f"the environment variable {source.connection_env} holds no database address")
    try:
        return sqlalchemy.make_url(address)
    except sqlalchemy.exc.ArgumentError:
        raise SourceError("the database address is not one, such as postgresql+psycopg://host/database") from None


def is_file(url: "URL") -> bool:
    """Return whether an address is that of a database that is a file."""
    return url.get_backend_name() in _FILES


def _file(url: "URL") -> _File:
    return _FILES.get(url.get_backend_name(), _File(""))


def _resolved(url: "URL", base: Path) -> "URL":
    """Return the address with the path of a database's file resolved; a missing one is an error and is not created."""
    if not is_file(url):
        return url
    # Options of an address would win over those of a connection that only reads.
    if url.query:
        raise SourceError(f"{_shown(url)}: expected an address without options; got {', '.join(sorted(url.query))}")
    path = base / (url.database or "")
    if not path.is_file():
        raise SourceError(f"no {_file(url).name} database {url.database}, relative to the use case file")
    return url.set(database=str(path))


def _reason(error: Exception) -> str:
    """Return the driver's own message; SQLAlchemy's would repeat the whole query."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


KIND = SourceKind("sql", SqlSource, _attempts, format="csv")
