"""The protocol of a feature store: rows of numbers by entity and grid step."""

from collections.abc import Awaitable, Sequence
from time import perf_counter
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ServingError
from monitoring.metrics import STORE_ERRORS, STORE_LATENCY, Metrics
from serving.runtime.errors import unavailable

Array = npt.NDArray[np.float64]
T = TypeVar("T")

_OPERATIONS = ("append", "fill", "window", "windows", "newest")


class StoreUnavailableError(ServingError):
    """The store does not answer; nothing is known about its content."""


class Store(Protocol):
    """Observations by entity; a step is a time divided by the grid's frequency.

    Attributes:
        kind: name for metrics.
        most: newest steps that it keeps of each entity; None for all.
    """

    kind: str
    most: int | None

    async def append(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store rows, shape (n, k), at these steps, replacing those at a known step.

        Returns the number of rows that were dropped because they are older than what the store keeps.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        ...

    async def fill(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store rows as `append` does, but do not replace those at a known step.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        ...

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return the rows of the `count` steps up to and including `end`, shape (k, count), NaN for a missing one.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        ...

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return a window for each entity, end and count, as `window` does, in as few calls as possible.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        ...

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step of the entity, or of all entities for None; None without any row.

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

    async def append(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store rows; see Store."""
        return await self._metered("append", self._store.append(entity, steps, rows))

    async def fill(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store missing rows; see Store."""
        return await self._metered("fill", self._store.fill(entity, steps, rows))

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return rows; see Store."""
        return await self._metered("window", self._store.window(entity, end, count))

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return rows of several windows, timed as one operation; see Store."""
        return await self._metered("windows", self._store.windows(keys))

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step; see Store."""
        return await self._metered("newest", self._store.newest(entity))

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
