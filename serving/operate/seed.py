"""History for a feature store: the newest rows of a run's validated table."""

import asyncio
import logging
from array import array
from collections import defaultdict, deque
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

from components.common.errors import AlmanacError, ServingError
from serving.commands.ingest import plain_rows, read_table
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


async def seed(path: Path, bundle: Bundle, features: Features) -> tuple[str, str] | None:
    """Add the newest rows of a table to the store; return entity and time of the newest one, None without any.

    What the store knows already stays as it is: it was observed later than the file was written.
    """
    ingestor = features.ingestor
    try:
        rows = await asyncio.get_running_loop().run_in_executor(
            None, newest_rows, path, ingestor, features.history + _SPARE
        )
        if not rows:
            raise ServingError("it has no observation")
        await ingestor.fill(bundle, rows)
    except (AlmanacError, OSError) as error:
        _LOG.warning("no history was taken from %s: %s", path, error)
        return None
    return _last(rows, ingestor)


def newest_rows(path: Path, ingestor: Ingestor, count: int) -> list[dict[str, Any]]:
    """Return the newest `count` rows of each entity in a table, with the columns that the store keeps.

    Gaps are passed over. The rows are found before they are made objects: a table has many more than are needed.

    Raises:
        ServingError: not a Parquet file, or one without these columns.
    """
    from pyarrow import compute

    schema, entity = ingestor.schema, ingestor.entity
    table = read_table(path, [schema.time, *schema.names, *([entity] if entity else [])])
    gaps = reduce(compute.and_, [table.column(name).is_null(nan_is_null=True) for name in schema.names])
    table = table.filter(compute.invert(gaps))
    if entity is None:
        return plain_rows(table.slice(max(0, table.num_rows - count)))
    newest: dict[Any, deque[int]] = defaultdict(lambda: deque(maxlen=count))
    for at, name in enumerate(table.column(entity).to_pylist()):
        newest[name].append(at)
    return plain_rows(table.take(_indices(sorted(chain.from_iterable(newest.values())))))


def _indices(places: list[int]) -> Any:
    """Return the places as Arrow has them; its own way from a list imports pandas, which takes longer than all else."""
    import pyarrow

    return pyarrow.Array.from_buffers(pyarrow.int64(), len(places), [None, pyarrow.py_buffer(array("q", places))])


def _last(rows: list[dict[str, Any]], ingestor: Ingestor) -> tuple[str, str]:
    entity = str(rows[-1][ingestor.entity]) if ingestor.entity else DEFAULT_ENTITY
    return entity, str(rows[-1][ingestor.schema.time])
