"""Warm up a feature store with the newest rows of a run's validated table."""

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from almanac.core.errors import AlmanacError, ServingError
from almanac.model.bundle import Bundle
from serving.features.event_store import EventStore
from serving.features.feature_requests import Features
from serving.features.store.observations import DEFAULT_ENTITY, Ingestor
from serving.runtime.errors import HTTPError
from serving.settings import Settings

_LOG = logging.getLogger("almanac.serving")
_ROOT = Path(__file__).resolve().parents[2]
#: Steps beyond those of one prediction, so that earlier times can be requested too.
_SPARE = 720


def history_file(settings: Settings, use_case: str) -> Path | None:
    """Return the table with the history: that of the settings, or that of the newest run on this machine."""
    if settings.history is not None:
        return Path(settings.history.replace("{use_case}", use_case))
    newest = Path("runs") / use_case / "latest" / "data.parquet"
    return newest if newest.exists() else None


class History(NamedTuple):
    """The newest rows of a table, and for each entity with more of them the time of the newest one left out."""

    rows: list[dict[str, Any]]
    older: dict[str, str]


async def seed(child: Process, path: Path, bundle: Bundle, features: Features) -> dict[str, Any] | None:
    """Add the newest rows of a table to the store; return the request that asks for the newest, None without any.

    Rows in the store are not overwritten: they were observed later than the file was written. The store is told of
    rows that it does not get, so that no time is answered that looks back on them.

    Raises:
        HTTPError: the store does not answer (503).
    """
    ingestor = features.ingestor
    try:
        # Histories of events have no length, and are read whole.
        count = 1 << 62 if isinstance(ingestor, EventStore) else features.history + _SPARE
        history = await read_newest(child, path, ingestor, count)
        if not history.rows:
            raise ServingError("it has no observation")
        for entity, time in history.older.items():
            await ingestor.leave_out(entity or DEFAULT_ENTITY, time)
        # `fill`, not `append`: rows in the store are newer observations than the file's.
        await ingestor.fill(bundle, history.rows)
    except (AlmanacError, OSError) as error:
        if isinstance(error, HTTPError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        _LOG.warning("no history was taken from %s: %s", path, error)
        return None
    return _request(history.rows[-1], bundle, ingestor)


@asynccontextmanager
async def reader() -> AsyncIterator[Process]:
    """Start the process that reads a table, and end it with the block."""
    # A process of its own, because Arrow's memory would stay with the server.
    command = [sys.executable, "-m", "serving.features.history_reader"]
    child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_environment())
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def read_newest(child: Process, path: Path, ingestor: Ingestor | EventStore, count: int) -> History:
    """Return the newest `count` rows of each entity in a table, with the columns of the store.

    Raises:
        ServingError: not a Parquet file, or one without these columns.
    """
    schema = ingestor.schema
    request = {"path": str(path), "time": schema.time, "names": list(schema.names), "entity": ingestor.entity}
    out, errors = await child.communicate(json.dumps(request | {"count": count}).encode())
    if child.returncode:
        raise ServingError(
            errors.decode(errors="replace").strip() or f"{path}: reading it ended with {child.returncode}"
        )
    return History(**json.loads(out))


def _environment() -> dict[str, str]:
    # The child must find these packages wherever the server was started.
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _request(row: dict[str, Any], bundle: Bundle, ingestor: Ingestor | EventStore) -> dict[str, Any]:
    entity = str(row[ingestor.entity]) if ingestor.entity else DEFAULT_ENTITY
    request: dict[str, Any] = {"entity": entity, "time": str(row[ingestor.schema.time])}
    if isinstance(ingestor, EventStore):
        request["event"] = {name: row[name] for name in ingestor.known(bundle)}
    return request
