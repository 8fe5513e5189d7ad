"""History for an empty feature store: the newest rows of a run's validated table."""

import logging
from pathlib import Path
from typing import Any

from components.common.errors import AlmanacError
from serving.commands.ingest import read_rows
from serving.inputs.moments import Features
from serving.models.bundle import Bundle
from serving.settings import Settings
from serving.store.observations import DEFAULT_ENTITY, Ingestor

_LOG = logging.getLogger("almanac.serving")
_SPARE = 720
"""Steps kept beyond what one prediction needs, so that earlier times can be asked for too."""


def history_file(settings: Settings, use_case: str) -> Path | None:
    """Return the table to take history from: the one given, or that of the newest run on this machine."""
    if settings.history is not None:
        return Path(settings.history)
    newest = Path("runs") / use_case / "latest" / "data.parquet"
    return newest if newest.exists() else None


async def seed(settings: Settings, bundle: Bundle, features: Features) -> tuple[str, str] | None:
    """Fill an empty store; return entity and time of the newest row, None where there is no history.

    A store that knows the entity already is left as it is: its rows are newer than any file.
    """
    path = history_file(settings, bundle.use_case)
    if path is None:
        return None
    ingestor = features.ingestor
    try:
        rows = _newest(read_rows(path), ingestor, features.history)
        entity, time = _last(rows, ingestor)
        if await ingestor.store.newest(entity) is None:
            await ingestor.append(bundle, rows)
    except (AlmanacError, OSError, KeyError) as error:
        _LOG.warning("no history was taken from %s: %s", path, error)
        return None
    return entity, time


def _newest(rows: list[dict[str, Any]], ingestor: Ingestor, history: int) -> list[dict[str, Any]]:
    """Return the newest rows of each entity, with the columns that the store keeps."""
    names = [ingestor.schema.time, *ingestor.schema.names, *([ingestor.entity] if ingestor.entity else [])]
    parts: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        if ingestor.is_gap(row):
            continue
        parts.setdefault(row[ingestor.entity] if ingestor.entity else None, []).append(row)
    kept = [row for part in parts.values() for row in part[-history - _SPARE :]]
    return [{name: row[name] for name in names} for row in kept]


def _last(rows: list[dict[str, Any]], ingestor: Ingestor) -> tuple[str, str]:
    entity = str(rows[-1][ingestor.entity]) if ingestor.entity else DEFAULT_ENTITY
    return entity, str(rows[-1][ingestor.schema.time])
