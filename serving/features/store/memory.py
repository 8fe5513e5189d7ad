"""The feature store of one process: the newest rows of each entity, in blocks that are allocated as rows arrive."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from serving.features.store.base import Batch, RowsDroppedError, check_entities
from serving.runtime.errors import beyond

#: Rows of a block: a window of a week of hours touches four, and an entity with one row takes one.
_BLOCK = 64
#: Bytes that the interpreter takes for a block's two arrays, and for an entity with its name.
_BLOCK_OVERHEAD, _ENTITY_OVERHEAD = 400, 800


class _Block:
    """Rows of consecutive steps, NaN where there is none."""

    __slots__ = ("rows", "taken")

    def __init__(self, rows: Array, taken: npt.NDArray[np.bool_]) -> None:
        self.rows = rows
        self.taken = taken


class _Series:
    """The rows of one entity: blocks by their number, and the step from which on none was dropped."""

    __slots__ = ("blocks", "count", "kept_from", "newest")

    def __init__(self) -> None:
        self.blocks: dict[int, _Block] = {}
        self.count, self.newest, self.kept_from = 0, -1, 0

    def written(self, steps: list[int], rows: Array, over: bool, capacity: int) -> tuple["_Series", int]:
        """Return the series with further rows, and how many are too old for it; this one stays as it is."""
        series = _Series()
        series.blocks, series.count = dict(self.blocks), self.count
        series.newest, series.kept_from = max(self.newest, *steps), self.kept_from
        fresh: set[int] = set()
        for step, row in zip(steps, rows, strict=True):
            if step >= series.kept_from:
                number, at = divmod(step, _BLOCK)
                block = series._own(number, row.size, fresh)
                if over or not block.taken[at]:
                    block.rows[:, at] = row
                    series.count += not block.taken[at]
                    block.taken[at] = True
        series._trim(capacity)
        return series, sum(step < series.kept_from for step in steps)

    def _own(self, number: int, width: int, fresh: set[int]) -> _Block:
        """Return a block that no other series shares."""
        block = self.blocks.get(number)
        if block is None or number not in fresh:
            fresh.add(number)
            if block is None:
                block = _Block(np.full((width, _BLOCK), np.nan), np.zeros(_BLOCK, dtype=np.bool_))
            else:
                block = _Block(block.rows.copy(), block.taken.copy())
            self.blocks[number] = block
        return block

    def _trim(self, capacity: int) -> None:
        """Drop the oldest blocks beyond the capacity, which counts rows: one far ahead must not drop all others."""
        while self.blocks:
            number = min(self.blocks)
            taken = self.blocks[number].taken
            if self.count - (held := int(taken.sum())) < capacity:
                return
            del self.blocks[number]
            self.count -= held
            self.kept_from = number * _BLOCK + int(taken.nonzero()[0][-1]) + 1

    def window(self, end: int, count: int, width: int) -> Array:
        first = end - count + 1
        # A copy: a thread may still read the window when later rows change the blocks.
        window = np.empty((width, count))
        for number in range(first // _BLOCK, end // _BLOCK + 1):
            begin = number * _BLOCK
            low, high = max(first, begin), min(end + 1, begin + _BLOCK)
            block = self.blocks.get(number)
            window[:, low - first : high - first] = (
                np.nan if block is None else block.rows[:, low - begin : high - begin]
            )
        return window


class MemoryStore:
    """Rows in memory; gone when the process ends.

    Args:
        width: numbers in a row.
        capacity: newest rows kept for each entity, and up to a block more.
        most_entities: most entities, so that a client cannot exhaust the memory.
        most_bytes: most bytes of all rows.
    """

    kind = "memory"

    def __init__(self, width: int, capacity: int, most_entities: int = 10_000, most_bytes: int = 64 << 20) -> None:
        self._width = width
        self.most: int | None = capacity
        self._capacity = capacity
        self._most_entities, self._most_bytes = most_entities, most_bytes
        self._block_bytes = _BLOCK * (8 * width + 1) + _BLOCK_OVERHEAD
        self._series: dict[str, _Series] = {}
        self._blocks = 0

    async def append(self, batch: Batch) -> int:
        """Store rows; see Store."""
        return self._write(batch, over=True)

    async def fill(self, batch: Batch) -> int:
        """Store missing rows; see Store."""
        return self._write(batch, over=False)

    def _write(self, batch: Batch, over: bool) -> int:
        self._check(batch)
        # Nothing is stored before all of it is known to fit.
        written: dict[str, _Series] = {}
        dropped = 0
        for entity, (steps, rows) in batch.items():
            written[entity], old = self._of(entity).written(steps, rows, over, self._capacity)
            dropped += old
        blocks = self._blocks + sum(len(one.blocks) - len(self._of(name).blocks) for name, one in written.items())
        self._check_bytes(blocks, {*self._series, *written})
        self._series.update(written)
        self._blocks = blocks
        return dropped

    def _of(self, entity: str) -> _Series:
        return self._series.get(entity) or _Series()

    def _check(self, batch: Batch) -> None:
        """Refuse a batch that cannot fit before any memory is taken for it."""
        check_entities(len(self._series), sum(name not in self._series for name in batch), self._most_entities)
        new = sum(
            len({step // _BLOCK for step in steps if step >= self._of(name).kept_from} - self._of(name).blocks.keys())
            for name, (steps, _) in batch.items()
        )
        self._check_bytes(new, batch)

    def _check_bytes(self, blocks: int, entities: Mapping[str, object] | set[str]) -> None:
        size = blocks * self._block_bytes + len(entities) * _ENTITY_OVERHEAD
        if size > self._most_bytes:
            raise beyond(
                f"the feature store in memory would take {size} bytes, above its bound of {self._most_bytes} "
                "(--store-bytes); nothing of the request is kept; or use sqlite:///… or redis://…"
            )

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return rows; see Store."""
        series = self._series.get(entity)
        if series is None:
            return np.full((self._width, count), np.nan)
        if max(0, end - count + 1) < series.kept_from:
            raise RowsDroppedError(entity, series.kept_from)
        return series.window(end, count, self._width)

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return rows of several windows; see Store."""
        return [await self.window(*key) for key in keys]

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step; see Store."""
        if entity is None:
            return max((one.newest for one in self._series.values() if one.newest >= 0), default=None)
        series = self._series.get(entity)
        return series.newest if series is not None and series.newest >= 0 else None

    async def forget(self, entity: str, before: int) -> None:
        """Note rows that the store does not get; see Store."""
        check_entities(len(self._series), entity not in self._series, self._most_entities)
        series = self._series.setdefault(entity, _Series())
        series.kept_from = max(series.kept_from, before)

    async def close(self) -> None:
        """Remove all rows."""
        self._series.clear()
        self._blocks = 0
