"""The feature store of one process: a ring of rows for each entity."""

import numpy as np
import numpy.typing as npt

from serving.refusal import unavailable

Array = npt.NDArray[np.float64]


class _Ring:
    """The newest rows of one entity.

    Every row is written twice, a capacity apart, so that each window is one slice and never wraps around.
    """

    def __init__(self, width: int, capacity: int) -> None:
        self._capacity = capacity
        self._rows = np.full((width, 2 * capacity), np.nan)
        self._steps = np.full(2 * capacity, -1, dtype=np.int64)
        self.newest = -1

    def put(self, step: int, row: Array) -> None:
        if step <= self.newest - self._capacity:
            return  # older than the ring reaches
        for at in (step % self._capacity, step % self._capacity + self._capacity):
            self._rows[:, at] = row
            self._steps[at] = step
        self.newest = max(self.newest, step)

    def window(self, end: int, count: int) -> Array:
        last = end % self._capacity + self._capacity
        first = last - count + 1
        rows = self._rows[:, first : last + 1]
        there = self._steps[first : last + 1] == np.arange(end - count + 1, end + 1)
        return rows.copy() if there.all() else np.where(there, rows, np.nan)


class MemoryStore:
    """Rows in memory; gone when the process ends.

    Args:
        width: numbers in a row.
        capacity: newest steps kept for each entity.
        most_entities: entities beyond this number are refused, so that a client cannot fill the memory.
    """

    kind = "memory"

    def __init__(self, width: int, capacity: int, most_entities: int = 10_000) -> None:
        self._width = width
        self._capacity = capacity
        self._most = most_entities
        self._rings: dict[str, _Ring] = {}

    async def append(self, entity: str, steps: list[int], rows: Array) -> None:
        """Keep rows; see Store."""
        self.put(entity, steps, rows)

    def put(self, entity: str, steps: list[int], rows: Array) -> None:
        """Keep rows without a pause."""
        ring = self._rings.get(entity)
        if ring is None:
            if len(self._rings) >= self._most:
                raise unavailable(f"the store in memory holds {self._most} entities; use sqlite:// or redis://", 60)
            ring = self._rings[entity] = _Ring(self._width, self._capacity)
        for step, row in zip(steps, rows, strict=True):
            ring.put(step, row)

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return rows; see Store."""
        ring = self._rings.get(entity)
        if ring is None or count > self._capacity:
            return np.full((self._width, count), np.nan)
        return ring.window(end, count)

    async def newest(self, entity: str) -> int | None:
        """Return the newest step; see Store."""
        ring = self._rings.get(entity)
        return None if ring is None else ring.newest

    async def close(self) -> None:
        """Forget everything."""
        self._rings.clear()
