"""The protocol of a feature store: rows of numbers by entity and grid step.

A store tells three things apart: a row that it holds, a step at which nothing was ever given to it (NaN), and rows
that it no longer keeps, or that are known to exist and that it never got. A window that reaches back to the last kind
has no answer: its features would be numbers, but other ones.
"""

from collections.abc import Awaitable, Mapping, Sequence
from time import perf_counter
from typing import Protocol, TypeVar

from almanac.core.arrays import Array
from almanac.core.errors import ServingError
from monitoring.metrics import STORE_ERRORS, STORE_LATENCY, Metrics
from serving.runtime.errors import HTTPError, beyond, unavailable

#: Rows of several entities that are written together: steps, and rows of shape (n, k).
Batch = Mapping[str, tuple[list[int], Array]]
T = TypeVar("T")

_OPERATIONS = ("append", "fill", "window", "windows", "newest", "forget")


class StoreUnavailableError(ServingError):
    """The store does not answer; nothing is known about its content."""


class RowsDroppedError(ServingError):
    """A window reaches back to rows that the store no longer keeps.

    Attributes:
        entity: whose window.
        kept_from: step from which on all rows that were observed are kept.
    """

    def __init__(self, entity: str, kept_from: int) -> None:
        super().__init__(f"entity {entity!r}: rows before step {kept_from} are no longer kept")
        self.entity = entity
        self.kept_from = kept_from


class Store(Protocol):
    """Observations by entity; a step is a time divided by the grid's frequency.

    Attributes:
        kind: name for metrics.
        most: number of newest rows that it keeps of each entity; None for all.
    """

    kind: str
    most: int | None

    async def append(self, batch: Batch) -> int:
        """Store rows, replacing those at a known step; all of them or, after an error, none.

        Returns the number of rows that were dropped because they are older than what the store keeps.

        Raises:
            StoreUnavailableError: the store does not answer.
            HTTPError: the store is full; the message names the bound.
        """
        ...

    async def fill(self, batch: Batch) -> int:
        """Store rows as `append` does, but do not replace those at a known step.

        Raises:
            StoreUnavailableError: the store does not answer.
            HTTPError: the store is full; the message names the bound.
        """
        ...

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return the rows of the `count` steps up to and including `end`, shape (k, count), NaN for one never given.

        Raises:
            RowsDroppedError: the window reaches back to rows that are no longer kept.
            StoreUnavailableError: the store does not answer.
        """
        ...

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return a window for each entity, end and count, as `window` does, in as few calls as possible.

        Raises:
            RowsDroppedError: a window reaches back to rows that are no longer kept.
            StoreUnavailableError: the store does not answer.
        """
        ...

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step of the entity, or of all entities for None; None without any row.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        ...

    async def forget(self, entity: str, before: int) -> None:
        """Note that rows before the step `before` exist that the store does not get.

        A store without a bound takes the note back when it is given the row just before `before` after all.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        ...

    async def close(self) -> None:
        """Close files and connections."""
        ...


class MeteredStore:
    """A store with metrics of its operations, whose failure is a 503 with `Retry-After`.

    Args:
        store: the store.
        metrics: the metrics.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self.kind, self.most = store.kind, store.most
        histogram = metrics.histogram(STORE_LATENCY)
        # Looked up once, because `labels` takes a lock.
        self._times = {name: histogram.labels(store.kind, name) for name in _OPERATIONS}
        self._errors = metrics.counter(STORE_ERRORS).labels(store.kind)

    async def append(self, batch: Batch) -> int:
        """Store rows; see Store."""
        return await self._metered("append", self._store.append(batch))

    async def fill(self, batch: Batch) -> int:
        """Store missing rows; see Store."""
        return await self._metered("fill", self._store.fill(batch))

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return rows; see Store."""
        return await self._metered("window", self._store.window(entity, end, count))

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return rows of several windows, timed as one operation; see Store."""
        return await self._metered("windows", self._store.windows(keys))

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step; see Store."""
        return await self._metered("newest", self._store.newest(entity))

    async def forget(self, entity: str, before: int) -> None:
        """Note rows that the store does not get; see Store."""
        await self._metered("forget", self._store.forget(entity, before))

    async def close(self) -> None:
        """Close files and connections."""
        await self._store.close()

    async def _metered(self, operation: str, call: Awaitable[T]) -> T:
        start = perf_counter()
        try:
            return await call
        except StoreUnavailableError as error:
            self._errors.inc()
            raise unavailable(f"the feature store does not answer: {error}") from error
        finally:
            self._times[operation].observe(perf_counter() - start)


def check_entities(known: int, new: int, most: int) -> None:
    """Check the number of a store's entities before `new` ones are added.

    Raises:
        HTTPError: there would be more than `most` (413).
    """
    if known + new > most:
        raise too_many_entities(known, new, most)


def too_many_entities(known: int, new: int, most: int) -> HTTPError:
    """Return the error for entities beyond the bound of the store."""
    return beyond(
        f"the feature store holds {known} entities; {new} more are above its bound of {most} (--store-entities)"
    )
