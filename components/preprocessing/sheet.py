"""A block of rows of all columns, as the batch engine's stages read it, and room for what they compute."""

from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

#: Values in a chunk: 8 MiB, which the system can give in few large pages.
_CHUNK = 1 << 20


class Arena:
    """Room for the arrays of one block after another, so that memory is fetched from the system once; one thread's."""

    def __init__(self) -> None:
        self._chunks: list[Array] = []
        self.reset()

    def reset(self) -> None:
        """Take back all arrays."""
        self._next = self._used = 0
        self._chunk = np.empty(0)

    def empty(self, *shape: int) -> Array:
        """Return an array of any content, which is the caller's until the next reset."""
        length = prod(shape)
        stop = self._used + length
        if stop > self._chunk.size:
            self._advance(length)
            stop = length
        result = self._chunk[self._used : stop]
        self._used = stop
        return result.reshape(shape) if len(shape) > 1 else result

    def _advance(self, length: int) -> None:
        if self._next == len(self._chunks) or len(self._chunks[self._next]) < length:
            self._chunks.insert(self._next, np.empty(max(length, _CHUNK)))
        self._chunk = self._chunks[self._next]
        self._next, self._used = self._next + 1, 0


class Sheet:
    """A block of rows of all columns, with the rows before them that features reach back to.

    Args:
        x: values, NaN where missing; shape (columns, first + n).
        first: place of the first row of the block.
        arena: where results go.
    """

    def __init__(self, x: Array, first: int, arena: Arena) -> None:
        self.x = x
        self.first = first
        self.n = x.shape[1] - first
        self.empty = arena.empty
        self._presence: dict[int, Array] = {}
        self._running: dict[tuple[int, int], Array] = {}

    def at(self, column: int | slice, lag: int) -> Array:
        """Return the values of columns `lag` rows ago, shape (n,) or (columns, n)."""
        return self.x[column, self.first - lag : self.first - lag + self.n]

    @cached_property
    def absent(self) -> Flags:
        """Which values are missing, shape of `x`."""
        return np.asarray(np.isnan(self.x))

    @cached_property
    def complete(self) -> list[bool]:
        """Whether all values of a column are there."""
        return [not row.any() for row in self.absent]

    def presence(self, column: int) -> Array:
        """Return 1 where a value is there, else 0, shape (first + n,)."""
        if column not in self._presence:
            self._presence[column] = self.empty(self.x.shape[1])
            np.subtract(1.0, self.absent[column], out=self._presence[column])
        return self._presence[column]

    def count(self, column: int, length: int, out: Array) -> Array:
        """Return how many of the newest `length` values are there, shape (n,)."""
        running, end = self._running_sum(column, 0), self.first + 1
        return np.subtract(running[end : end + self.n], running[end - length : end - length + self.n], out=out)

    def ages(self, column: int, length: int, rows: Places) -> tuple[Array, Array]:
        """Return the sums of age and of its square over the values there among the newest `length` of some rows."""
        place, stop = (rows + self.first).astype(np.float64), rows + self.first + 1
        sums = (self._running_sum(column, power) for power in range(3))
        count, first, second = (running.take(stop) - running.take(stop - length) for running in sums)
        return place * count - first, place * place * count - 2.0 * place * first + second

    def _running_sum(self, column: int, power: int) -> Array:
        """Return the sums of places to a power over the values there before each place, shape (first + n + 1,)."""
        key = column, power
        if key not in self._running:
            values = self.presence(column)
            if power:
                values = values * np.arange(len(values), dtype=np.float64) ** power
            running = self._running[key] = self.empty(len(values) + 1)
            running[0] = 0.0
            np.cumsum(values, out=running[1:])
        return self._running[key]


def stretches(*places: list[int]) -> list[tuple[slice, ...]]:
    """Split equally long lists of places into stretches of even steps, each given as one slice a list."""
    result, start, total = [], 0, len(places[0])
    while start < total:
        stop = start + 1
        if stop < total:
            steps = [p[stop] - p[start] for p in places]
            while stop < total and all(p[stop] - p[stop - 1] == s > 0 for p, s in zip(places, steps, strict=True)):
                stop += 1
        result.append(tuple(span(p[start:stop]) for p in places))
        start = stop
    return result


def span(places: list[int]) -> slice:
    """Return ascending places of even steps as a slice."""
    step = places[1] - places[0] if len(places) > 1 else 1
    return slice(places[0], places[-1] + 1, step)


def select(places: list[int]) -> slice | Places:
    """Return an index of these places: a slice, which copies nothing, where one can say it."""
    if not places:
        return slice(0, 0)
    found = stretches(places)
    return found[0][0] if len(found) == 1 else np.array(places, dtype=np.intp)
