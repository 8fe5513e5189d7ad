"""A table as `almanac new` is given it: a file, a directory of files, or an address of a database."""

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import SourceError
from almanac.core.files import sha256_bytes
from almanac.core.levels import some
from almanac.data.bundle import bundle
from almanac.data.infer_read import is_table
from almanac.usecase.data_section import Read, TimeFormat
from almanac.usecase.types import holds_password

#: An address of SQLAlchemy, or the environment variable that holds one.
_ADDRESS, _VARIABLE = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9_]+)?://"), "env:"
#: Suffixes of files that are databases.
_DATABASES = {".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".duckdb": "duckdb"}
_EXAMPLES = "sqlite:///plant.db, duckdb:///plant.duckdb or postgresql+psycopg://host/database"


@dataclass(frozen=True)
class Brought:
    """A table's bytes, and where they are from.

    Attributes:
        path: Path of the table, by which errors call it; of a database its name and that of the table.
        data: Bytes of the table.
        fields: Fields of the source, by which a use case reads the same bytes.
        read: How the bytes are read where their place decides on it; None where the name of the file does.
    """

    path: Path
    data: bytes
    fields: dict[str, Any]
    read: Read | None = None


def bring(table: str, out: Path, name: str | None = None, query: str | None = None) -> Brought:
    """Return the table at a path or an address, for a use case at `out`.

    Args:
        table: Path of a file or a directory, address of a database as SQLAlchemy writes it, or `env:` and the
            environment variable that holds one, as one with a password needs.
        out: Path of the use case file.
        name: Table of the database; the only one when absent.
        query: Query to the database in place of a table.

    Raises:
        SourceError: it cannot be read, or a database has several tables.
    """
    if (kind := _DATABASES.get(Path(table).suffix.lower())) and not _ADDRESS.match(table):
        table = f"{kind}:///{table}"
    if table.startswith(_VARIABLE) or _ADDRESS.match(table):
        return _of_database(table, out, name, query)
    for option, value in (("--table", name), ("--query", query)):
        if value is not None:
            raise SourceError(f"{option} {value}: belongs to the address of a database, such as sqlite:///plant.db")
    path = Path(table)
    location = Path(os.path.relpath(path.resolve(), out.resolve().parent)).as_posix()
    try:
        data, location = _contents(path, location)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    return Brought(path, data, {"type": "file", "path": location, "sha256": sha256_bytes(data)})


def _contents(path: Path, location: str) -> tuple[bytes, str]:
    """Return the bytes of a file, or of a directory's files of its most frequent form, and the path of the source.

    Raises:
        SourceError: a directory without a file whose name says its form.
    """
    if not path.is_dir():
        return path.read_bytes(), location
    files = [file for file in sorted(path.iterdir()) if file.is_file() and is_table(file)]
    if not files:
        raise SourceError(f"{path}: holds no table; expected files such as .csv or .parquet")
    counts = Counter("".join(file.suffixes) for file in files)
    suffix = max(counts, key=lambda one: counts[one])
    chosen = [file for file in files if "".join(file.suffixes) == suffix]
    return bundle((f"{location}/{file.name}", file.read_bytes()) for file in chosen), f"{location}/*{suffix}"


def _of_database(address: str, out: Path, name: str | None, query: str | None) -> Brought:
    # Here, because the kinds of sources are made of modules that are loaded with the use case.
    from almanac.data.sources.sql import SqlSource, declared_url, quoted, result_of, tables_of

    if name is not None and query is not None:
        raise SourceError(f"--table {name}: give either a table or --query")
    place = _place(address, out)
    read = Read(format="csv", time=TimeFormat(column="unknown"))
    fields: dict[str, Any] = {"name": "table", "type": "sql", "query": query or "", "read": read, **place}
    source = SqlSource.model_validate(fields)
    base = out.resolve().parent
    if query is None:
        name = _chosen(address, name, tables_of(source, base))
        # The name is one of the database's own, quoted by its dialect.
        source = source.model_copy(update={"query": f"SELECT * FROM {quoted(source, name)}"})  # noqa: S608
    database = Path(declared_url(source).database or "database").name
    data, _ = result_of(source, base)
    return Brought(Path(f"{database}:{name or 'query'}"), data, {"type": "sql", **place, "query": source.query}, read)


def _place(address: str, out: Path) -> dict[str, str]:
    """Return the field by which a source finds its database; the path of a file is relative to the use case."""
    import sqlalchemy

    from almanac.data.sources.sql import is_file

    if address.startswith(_VARIABLE):
        return {"connection_env": address.removeprefix(_VARIABLE)}
    try:
        url = sqlalchemy.make_url(address)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise SourceError(f"{address.split('://')[0]}://…: is no address of a database, such as {_EXAMPLES}") from None
    # SQLAlchemy finds a password with signs that end the host elsewhere.
    if url.password is not None or holds_password(address):
        raise SourceError(
            f"{url.set(query={}).render_as_string()}: holds a password, which a file must not; put the address into an "
            "environment variable and write env:NAME in its place"
        )
    if is_file(url) and url.database:
        path = os.path.relpath(Path(url.database).resolve(), out.resolve().parent)
        url = url.set(database=Path(path).as_posix())
    return {"connection": url.render_as_string()}


def _chosen(address: str, name: str | None, known: list[str]) -> str:
    """Return the table that is read; names are shown, and the address only as it was given.

    Raises:
        SourceError: there is no such table, or several.
    """
    shown = some(known) or "none"
    if name is None and len(known) != 1:
        raise SourceError(f"{address}: has {len(known)} tables; name one by --table, or a query by --query: {shown}")
    if name is not None and name not in known:
        raise SourceError(f"--table {name}: there is no such table; there is {shown}")
    return name or known[0]
