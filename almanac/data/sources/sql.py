"""Answers of SQL databases."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs

from almanac.core.errors import SourceError
from almanac.usecase.data_section import SqlSource

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def answer(source: SqlSource, base: Path) -> tuple[bytes, str]:
    """Return the answer to the query as CSV, and the address without user and password.

    CSV, so that a declared digest depends on the answer alone and not on a library's file format;
    a query whose digest is declared needs an ORDER BY.

    Raises:
        SourceError: the database cannot be reached, or refuses the query.
    """
    import sqlalchemy

    declared = _declared(source)
    place = sqlalchemy.URL.create(
        declared.drivername, host=declared.host, port=declared.port, database=declared.database
    )
    shown = place.render_as_string()
    url = _resolved(declared, base)
    try:
        engine = sqlalchemy.create_engine(url)
        try:
            with engine.connect() as connection:
                result = connection.execute(sqlalchemy.text(source.query))
                rows, names = result.fetchall(), list(result.keys())
        finally:
            engine.dispose()
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise SourceError(f"{shown}: {_reason(error)}") from None
    except ImportError as error:
        raise SourceError(f"{shown}: the driver is not installed: {error}") from None
    table = pl.DataFrame(
        [tuple(row) for row in rows], schema=names, orient="row", infer_schema_length=None, strict=False
    )
    return table.with_columns(cs.boolean().cast(pl.Int8)).write_csv().encode(), shown


def _declared(source: SqlSource) -> "URL":
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


def _resolved(url: "URL", base: Path) -> "URL":
    """Return the address with the path of a SQLite file resolved; a file that is not there is not made."""
    if url.get_backend_name() != "sqlite":
        return url
    path = base / (url.database or "")
    if not path.is_file():
        raise SourceError(f"no SQLite database {url.database}, relative to the use case file")
    return url.set(database=str(path))


def _reason(error: Exception) -> str:
    """Return the driver's own message; SQLAlchemy's would repeat the whole query."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
