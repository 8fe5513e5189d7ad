"""The feature store of one process: a ring of rows for each entity."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from serving.runtime.errors import unavailable

Array = npt.NDArray[np.float64]


class _Ring:
    """The newest rows of one entity.

    Every row is stored twice, at a distance of the capacity, so that each window is one slice and never wraps around.
    """

    def __init__(self, width: int, capacity: int) -> None:
        self._capacity = capacity
        self._rows = np.full((width, 2 * capacity), np.nan)
        self._steps = np.full(2 * capacity, -1, dtype=np.int64)
        self.newest = -1

    def put(self, steps: list[int], rows: Array, over: bool) -> int:
        """Store rows, over existing ones or not; return the number of rows that are too old for the ring."""
        # First, because a large batch may be longer than the ring itself.
        self.newest = max(self.newest, *steps)
        oldest, dropped = self.newest - self._capacity, 0
        for step, row in zip(steps, rows, strict=True):
            if step <= oldest:
                dropped += 1
            elif over or self._steps[step % self._capacity] != step:
                self._put(step, row)
        return dropped

    def _put(self, step: int, row: Array) -> None:
        for at in (step % self._capacity, step % self._capacity + self._capacity):
            self._rows[:, at] = row
            self._steps[at] = step

    def window(self, end: int, count: int) -> Array:
        last = end % self._capacity + self._capacity
        first = last - count + 1
        rows = self._rows[:, first : last + 1]
        exists = self._steps[first : last + 1] == np.arange(end - count + 1, end + 1)
        # A copy: a thread may still read the window when later rows overwrite the ring.
        return rows.copy() if exists.all() else np.where(exists, rows, np.nan)


class MemoryStore:
    """Rows in memory; gone when the process ends.

    Args:
        width: numbers in a row.
        capacity: newest steps kept for each entity.
        most_entities: most entities, so that a client cannot exhaust the memory.
    """

    kind = "memory"

    def __init__(self, width: int, capacity: int, most_entities: int = 10_000) -> None:
        self._width = width
        self.most: int | None = capacity
        self._capacity = capacity
        self._most_entities = most_entities
        self._rings: dict[str, _Ring] = {}

    async def append(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store rows; see Store."""
        return self._ring(entity).put(steps, rows, over=True)

    async def fill(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store missing rows; see Store."""
        return self._ring(entity).put(steps, rows, over=False)

    def _ring(self, entity: str) -> _Ring:
        ring = self._rings.get(entity)
        if ring is None:
            if len(self._rings) >= self._most_entities:
                raise unavailable(
                    f"the store in memory holds {self._most_entities} entities; use sqlite:// or redis://", 60
                )
            ring = self._rings[entity] = _Ring(self._width, self._capacity)
        return ring

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return rows; see Store."""
        ring = self._rings.get(entity)
        # A longer window than the ring holds cannot be answered in part.
        if ring is None or count > self._capacity:
            return np.full((self._width, count), np.nan)
        return ring.window(end, count)

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return rows of several windows; see Store."""
        return [await self.window(*key) for key in keys]

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step; see Store."""
        if entity is None:
            return max((ring.newest for ring in self._rings.values()), default=None)
        ring = self._rings.get(entity)
        return None if ring is None else ring.newest

    async def close(self) -> None:
        """Remove all rows."""
        self._rings.clear()
