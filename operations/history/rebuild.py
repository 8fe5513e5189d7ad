"""Making the history again from its origins."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, insert
from sqlalchemy.exc import IntegrityError

from almanac.core.errors import HistoryError
from operations.history.sources import Rows
from operations.history.sources.logs import log_rows
from operations.history.sources.registry import registry_rows
from operations.history.sources.requests import request_rows
from operations.history.sources.runs import run_rows
from operations.history.tables import METADATA

_BATCH = 5_000


@dataclass(frozen=True)
class Origins:
    """Where the history comes from.

    Attributes:
        registry: address of the model registry; empty for none.
        runs: directory of run directories.
        log: directory or URL of the prediction log; empty for none.
    """

    registry: str
    runs: Path
    log: str = ""


def rebuild(
    engine: Engine, origins: Origins, progress: Callable[[str, int], None] = lambda name, rows: None
) -> dict[str, int]:
    """Replace every row by those read from the origins, in one transaction; readers see the old rows until it ends.

    Args:
        engine: the history.
        origins: where the rows come from.
        progress: called with an origin's name and the rows so far.

    Returns:
        table -> number of rows.

    Raises:
        HistoryError: an origin that cannot be read, or that says a thing twice; the history is left as it was.
    """
    counts = dict.fromkeys(METADATA.tables, 0)
    with engine.begin() as connection:
        for table in METADATA.tables.values():
            connection.execute(table.delete())
        for name, rows in _origins(origins):
            for table, batch in _batches(rows):
                _insert(connection, table, batch)
                counts[table.name] += len(batch)
                progress(name, sum(counts.values()))
    return counts


def _origins(origins: Origins) -> Iterator[tuple[str, Rows]]:
    if origins.registry:
        yield "registry", registry_rows(origins.registry)
        yield "logs", log_rows(origins.registry)
    yield "runs", run_rows(origins.runs)
    if origins.log:
        yield "predictions", request_rows(origins.log)


def _batches(rows: Rows) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    waiting: dict[Table, list[dict[str, Any]]] = {}
    for table, group in groupby(rows, key=lambda pair: pair[0]):
        held = waiting.setdefault(table, [])
        held.extend(row for _, row in group)
        if len(held) >= _BATCH:
            yield table, waiting.pop(table)
    yield from ((table, held) for table, held in waiting.items() if held)


def _insert(connection: Connection, table: Table, batch: list[dict[str, Any]]) -> None:
    try:
        connection.execute(insert(table), batch)
    except IntegrityError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise HistoryError(f"history: {table.name}: the origins say the same thing twice ({reason})") from None
