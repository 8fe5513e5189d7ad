"""Ingestion of observations into the feature store."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from almanac.model.bundle import Bundle
from monitoring.metrics import INGESTED, Metrics
from serving.features.raw_schema import RawSchema, micros_of
from serving.features.store.base import Batch, RowsDroppedError, Store
from serving.features.values import check_names, json_type, shortened
from serving.runtime.errors import invalid

#: Entity of a use case without entities.
DEFAULT_ENTITY = "default"
#: Why another entity is refused then.
ONE_SERIES = f"the use case has no entity column, and one series, which is called {DEFAULT_ENTITY!r}"

#: Microseconds by which a client's clock and zone may be ahead.
_DAY = 86_400_000_000
#: Rows that are read before others are answered: about a millisecond.
_PIECE = 64

Write = Callable[[Batch], Awaitable[int]]
Rows = dict[str, tuple[list[int], list[list[float]]]]


@dataclass(frozen=True, slots=True)
class IngestResult:
    """Numbers of rows that were kept, and dropped because they are older than what the store keeps."""

    kept: int
    dropped: int


class Ingestor:
    """Appends observations.

    Args:
        store: the store.
        schema: the raw columns.
        entity: name of the entity column; None if the use case has none.
        metrics: the metrics.
    """

    def __init__(self, store: Store, schema: RawSchema, entity: str | None, metrics: Metrics) -> None:
        self.store = store
        self.schema = schema
        self.entity = entity
        self._metrics = metrics

    async def append(self, bundle: Bundle, observations: Any) -> IngestResult:
        """Append rows `{"timestamp": …, "entity"?: …, column: value, …}`; a row of a known time replaces it.

        A row without any value is a gap in the grid, as in validated tables, and is skipped.

        Raises:
            HTTPError: a row that breaks a rule or lies in the future, named with its column, or a store that is full;
                no row of the request is kept then.
        """
        return await self._keep(bundle, observations, self.store.append)

    async def fill(self, bundle: Bundle, observations: Any) -> IngestResult:
        """Append rows as `append` does, but do not replace rows of a known time."""
        return await self._keep(bundle, observations, self.store.fill)

    async def leave_out(self, entity: str, time: str) -> None:
        """Note in the store that rows up to a time exist which it does not get, unless it has them from before.

        Raises:
            HTTPError: the store does not answer (503).
        """
        step = self.schema.step_of(time, "time")
        try:
            known = not np.isnan(await self.store.window(entity, step, 1)).all()
        except RowsDroppedError:
            return
        if not known:
            await self.store.forget(entity, step + 1)

    async def leave_out_rows(self, bundle: Bundle, rows: Any) -> None:
        """Note in the store that these rows and older ones of their entities exist which it does not get.

        Raises:
            HTTPError: as `append`; nothing is noted then.
        """
        for entity, (steps, _) in (await self._rows(bundle, rows)).items():
            await self.leave_out(entity, self.schema.time_text(max(steps)))

    async def _keep(self, bundle: Bundle, observations: Any, write: Write) -> IngestResult:
        # All rows are read before the first is written, and written together.
        rows = await self._rows(bundle, observations)
        count = sum(len(steps) for steps, _ in rows.values())
        batch = {entity: (steps, np.array(kept)) for entity, (steps, kept) in rows.items()}
        dropped = await write(batch) if batch else 0
        result = IngestResult(count - dropped, dropped)
        self._metrics.counter(INGESTED).labels(bundle.use_case).inc(result.kept)
        return result

    async def _rows(self, bundle: Bundle, observations: Any) -> Rows:
        if not isinstance(observations, list) or not observations:
            raise invalid("observations: expected a list of at least one row")
        rows: Rows = {}
        present, clock = _present(bundle)
        # A far future row would count as the newest one, whatever is observed afterwards.
        last = self.schema.grid.newest(present + max(_DAY, self.schema.grid.step))
        for at, row in enumerate(observations):
            if at and at % _PIECE == 0:
                await asyncio.sleep(0)
            if self.is_gap(row):
                continue
            entity, step, values = self._read(row, f"observations[{at}]")
            if step > last:
                raise invalid(
                    f"observations[{at}].{self.schema.time}: {shortened(row[self.schema.time])} lies in the future; "
                    f"nothing later than {self.schema.time_text(last)} can have been observed by {clock}"
                )
            steps, kept = rows.setdefault(entity, ([], []))
            steps.append(step)
            kept.append(values)
        return rows

    def is_gap(self, row: Any) -> bool:
        """Return whether a row has every column and no value."""
        # A column that is missing altogether is an error and no gap, hence the default.
        return isinstance(row, dict) and all(row.get(name, 0) is None for name in self.schema.names)

    def _read(self, row: Any, location: str) -> tuple[str, int, list[float]]:
        if not isinstance(row, dict):
            raise invalid(f"{location}: {json_type(row)}; expected an object of columns")
        schema = self.schema
        entity = self._entity_of(row, location)
        names = (schema.time, *schema.names, *([self.entity] if self.entity else []))
        # Without an entity column rows may still have the field `entity`, as requests may.
        check_names([name for name in row if self.entity or name != "entity"], names, location)
        step = schema.step_of(row[schema.time], f"{location}.{schema.time}")
        return entity, step, [column.value(row[column.name], f"{location}.{column.name}") for column in schema.columns]

    def _entity_of(self, row: Mapping[str, Any], location: str) -> str:
        name = self.entity or "entity"
        entity = row.get(name, DEFAULT_ENTITY if self.entity is None else None)
        if not isinstance(entity, str) or not 0 < len(entity) <= 200:
            raise invalid(f"{location}.{name}: expected text of 1 to 200 characters")
        if self.entity is None and entity != DEFAULT_ENTITY:
            raise invalid(f"{location}.{name}: {shortened(entity)}; {ONE_SERIES}")
        return entity


def _present(bundle: Bundle) -> tuple[int, str]:
    """Return the present in microseconds, of the clock or of the use case of an archive, and its name."""
    declared = [str(model.signature["as_of"]) for model in bundle.targets.values() if model.signature.get("as_of")]
    if not declared:
        return time.time_ns() // 1000, "now"
    present = max(declared, key=lambda text: micros_of(text, "as_of"))
    return micros_of(present, "as_of"), f"{present}, the present of the use case (as_of)"
