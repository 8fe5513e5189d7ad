"""Making the history from its origins: all of it, or the parts that have changed since it was made."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError

from almanac.core.errors import HistoryError
from almanac.core.files import canonical_json, sha256_bytes
from almanac.core.texts import printable
from operations.history.database import reported, writing
from operations.history.sources import Part, Rows
from operations.history.sources.failures import clear_failure, failure_parts, published_failure_parts
from operations.history.sources.logs import clear_logs, log_parts
from operations.history.sources.requests import clear_predictions, request_parts, sum_requests
from operations.history.sources.runs import clear_run, published_parts, run_parts
from operations.history.tables import INTERNAL, METADATA, PARTS, PUBLISHED, REQUESTS

Progress = Callable[[str, int], None]

_BATCH = 5_000
_CLEARS: dict[str, Callable[[Connection, str], None]] = {
    "logs": clear_logs,
    "run": clear_run,
    PUBLISHED: clear_run,
    "failure": clear_failure,
    "published failure": clear_failure,
    "predictions": clear_predictions,
}
#: Kinds of the parts of the prediction log, and of the one that stands for the code which makes the rows of all others.
_PREDICTIONS, _PROGRAM = "predictions", "program"


@dataclass(frozen=True)
class Origins:
    """Where the history comes from.

    Attributes:
        registry: address of the model registry, which also has the runs of a cluster; empty for none.
        runs: directory of run directories.
        log: directory or URL of the prediction log; empty for none.
    """

    registry: str
    runs: Path
    log: str = ""


def rebuild(engine: Engine, origins: Origins, progress: Progress = lambda kind, rows: None) -> dict[str, int]:
    """Replace every row by those read from the origins, in one transaction; readers see the old rows until it ends.

    Args:
        engine: the history.
        origins: where the rows come from.
        progress: called with an origin's kind and the rows so far.

    Returns:
        table -> number of rows.

    Raises:
        HistoryError: an origin that cannot be read, or that says a thing twice; the history is left as it was.
    """
    parts = list(_parts(origins))
    with writing(engine) as connection:
        return _make(connection, parts, progress)


def update(engine: Engine, origins: Origins, *, log: bool = True) -> str:
    """Replace the rows of changed parts of the origins: the rows are then those of `rebuild`, to the byte.

    Args:
        engine: the history.
        origins: where the rows come from.
        log: whether the prediction log is looked at; otherwise its rows stay.

    Returns:
        the digest of the states that the rows are made from: another one where anything has changed.

    Raises:
        HistoryError: an origin that cannot be read, or that says a thing twice; the history is left as it was.
    """
    with reported(engine), engine.connect() as connection:
        known = _made_from(connection)
    # Code that makes other rows makes all of them.
    log = log or known.get((_PROGRAM, "")) != _program()
    parts = list(_parts(origins if log else replace(origins, log="")))
    states = {(part.kind, part.key): part.state for part in parts}
    if not log:
        states |= {key: state for key, state in known.items() if key[0] == _PREDICTIONS}
    if known != states:
        with writing(engine) as connection:
            # Another program may have made them meanwhile.
            _renew(connection, parts, _made_from(connection), log)
    return sha256_bytes(canonical_json([[*key, state] for key, state in sorted(states.items())]))


def _renew(connection: Connection, parts: list[Part], known: dict[tuple[str, str], str], log: bool) -> None:
    """Replace the rows of the parts that differ from those that the rows were made from."""
    if known.get((_PROGRAM, "")) != _program():
        _make(connection, parts, lambda kind, rows: None)
        return
    found = {(part.kind, part.key): part for part in parts}
    kept = {_PROGRAM} if log else {_PROGRAM, _PREDICTIONS}
    stale = [
        key for key, state in known.items() if key[0] not in kept and (key not in found or found[key].state != state)
    ]
    fresh = [part for key, part in found.items() if known.get(key) != part.state]
    for kind, key in stale:
        _CLEARS[kind](connection, key)
        connection.execute(delete(PARTS).where(PARTS.c.kind == kind, PARTS.c.key == key))
    _add(connection, fresh, lambda kind, rows: None)
    if _PREDICTIONS in {kind for kind, _ in stale} | {part.kind for part in fresh}:
        sum_requests(connection)


def _parts(origins: Origins) -> Iterator[Part]:
    """Yield the parts of all origins, with the states before any of it is read."""
    yield Part(_PROGRAM, "", _program(), lambda: iter(()))
    if origins.registry:
        yield from log_parts(origins.registry)
        yield from published_parts(origins.registry)
        yield from published_failure_parts(origins.registry)
    yield from run_parts(origins.runs)
    yield from failure_parts(origins.runs)
    if origins.log:
        yield from request_parts(origins.log)


@cache
def _program() -> str:
    """Return a digest of the code that makes rows: those of another release are made again."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return sha256_bytes(b"\0".join(file.read_bytes() for file in files))


def _made_from(connection: Connection) -> dict[tuple[str, str], str]:
    return {(kind, key): state for kind, key, state in connection.execute(select(PARTS))}


def _make(connection: Connection, parts: Iterable[Part], progress: Progress) -> dict[str, int]:
    for table in chain(METADATA.tables.values(), INTERNAL.tables.values()):
        connection.execute(table.delete())
    counts = _add(connection, parts, progress)
    return {name: counts.get(name, 0) for name in METADATA.tables} | {REQUESTS.name: sum_requests(connection)}


def _add(connection: Connection, parts: Iterable[Part], progress: Progress) -> dict[str, int]:
    """Insert the rows of parts, and return their number by table."""
    counts: dict[str, int] = {}
    for kind, group in groupby(parts, key=lambda part: part.kind):
        for table, batch in _batches(chain.from_iterable(_with_state(part) for part in group)):
            _insert(connection, table, batch)
            counts[table.name] = counts.get(table.name, 0) + len(batch)
            progress(kind, sum(counts.values()))
    return counts


def _with_state(part: Part) -> Rows:
    yield PARTS, {"kind": part.kind, "key": part.key, "state": part.state}
    yield from part.rows()


def _batches(rows: Rows) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    waiting: dict[Table, list[dict[str, Any]]] = {}
    for table, group in groupby(rows, key=lambda pair: pair[0]):
        held = waiting.setdefault(table, [])
        held.extend(row for _, row in group)
        if len(held) >= _BATCH:
            yield table, waiting.pop(table)
    yield from ((table, held) for table, held in waiting.items() if held)


def _storable(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without the characters that PostgreSQL's or SQLite's texts cannot hold."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


def _insert(connection: Connection, table: Table, batch: list[dict[str, Any]]) -> None:
    try:
        connection.execute(insert(table), [_storable(row) for row in batch])
    except IntegrityError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise HistoryError(f"history: {table.name}: the origins say the same thing twice ({reason})") from None
