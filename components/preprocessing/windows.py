"""Statistics of sliding windows over one column, each by an order of operations that the online engine repeats.

A window of w values is summed as a balanced tree: 2^k values are the sum of two halves, and w is split into its
powers of two, the largest newest: 168 = 128 + (32 + 8). An incremental sum would be no dearer, but would depend on
where the series starts. Deviations are summed around a fixed centre, so that a variance needs no second pass.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Below this share of the sum of squares a sum of squared deviations is rounding noise, and counts as zero.
NOISE = 2.0**-44

#: Values in a chunk: 8 MiB, which the system can give in few large pages.
_CHUNK = 1 << 20


def powers(length: int) -> list[int]:
    """Return the powers of two that sum up to `length`, descending."""
    return [1 << bit for bit in range(length.bit_length() - 1, -1, -1) if length >> bit & 1]


def decay(steps: int, half_life: int) -> float:
    """Return the weight of a value `steps` older than another."""
    return float(0.5 ** (steps / half_life))


class Arena:
    """Room for the arrays of one block after another, so that memory is fetched from the system once; one thread's."""

    def __init__(self) -> None:
        self._chunks: list[Array] = []
        self.reset()

    def reset(self) -> None:
        """Take back all arrays."""
        self._next = self._used = 0
        self._chunk = np.empty(0)

    def empty(self, length: int) -> Array:
        """Return an array of any content, which is the caller's until the next reset."""
        stop = self._used + length
        if stop > self._chunk.size:
            self._advance(length)
            stop = length
        result = self._chunk[self._used : stop]
        self._used = stop
        return result

    def _advance(self, length: int) -> None:
        if self._next == len(self._chunks) or len(self._chunks[self._next]) < length:
            self._chunks.insert(self._next, np.empty(max(length, _CHUNK)))
        self._chunk = self._chunks[self._next]
        self._next, self._used = self._next + 1, 0


class Trailing:
    """One column of a block of rows, with the rows before them that windows reach back to.

    Args:
        x: values, NaN where missing; shape (first + n,).
        first: place of the first row of the block.
        centre: what deviations are summed around.
        arena: where the sums go.
    """

    def __init__(self, x: Array, first: int, centre: float, arena: Arena) -> None:
        self._empty = arena.empty
        self.x = x
        self.first = first
        self.n = len(x) - first
        self.centre = centre
        self._levels: dict[tuple[str, int], list[Array]] = {}
        self._moments: dict[tuple[int, int], Array] = {}
        self._counts: dict[int, Array] = {}
        self._sums: dict[tuple[str, int], Array] = {}

    def at(self, lag: int) -> Array:
        """Return the values `lag` rows ago, shape (n,)."""
        return self.x[self.first - lag : self.first - lag + self.n]

    @cached_property
    def present(self) -> Flags:
        """Which values are there."""
        return np.asarray(self.x == self.x)

    @cached_property
    def complete(self) -> bool:
        """Whether all values are there."""
        return bool(self.present.all())

    @cached_property
    def presence(self) -> Array:
        """1 where a value is there, else 0."""
        result = self._empty(len(self.x))
        np.copyto(result, self.present)
        return result

    @cached_property
    def deviations(self) -> Array:
        """Values less the centre, 0 where missing."""
        result = np.subtract(self.x, self.centre, out=self._empty(len(self.x)))
        if not self.complete:
            np.copyto(result, 0.0, where=~self.present)
        return result

    def count(self, length: int) -> Array:
        """Return how many of the newest `length` values are there, shape (n,) or (1,) where they all are."""
        if self.complete:
            return np.array([float(length)])
        if length not in self._counts:
            self._counts[length] = self._difference(self._running, length)
        return self._counts[length]

    def total(self, kind: str, length: int) -> Array:
        """Return the sum of deviations or of their squares over the newest `length` values, shape (n,)."""
        if (kind, length) not in self._sums:
            parts, offset = [], 0
            for size in powers(length):
                parts.append(self._at(self._level(kind, size), size, offset))
                offset += size
            self._sums[kind, length] = self._folded(parts)
        return self._sums[kind, length]

    def decayed(self, kind: str, half_life: int, length: int) -> Array:
        """Return the sum of deviations or of presence, weighted by age, shape (n,)."""
        sizes, offset, parts = powers(length), 0, []
        for size in sizes:
            parts.append(self._at(self._level(kind, size, half_life), size, offset))
            offset += size
        result = parts.pop()
        for size in reversed(sizes[:-1]):
            faded = np.multiply(result, decay(size, half_life), out=self._empty(self.n))
            result = np.add(parts.pop(), faded, out=faded)
        return result

    def moment(self, length: int) -> Array:
        """Return the sum of age times deviation over the newest `length` values, shape (n,)."""
        parts, offset = [], 0
        for size in powers(length):
            parts.append(self._moment(size, offset // size))
            offset += size
        return self._folded(parts)

    def ages(self, length: int) -> tuple[Array, Array]:
        """Return the sums of age and of its square over the values there; whole numbers, so exact in any order."""
        if self.complete:
            age = np.arange(length, dtype=np.float64)
            return age.sum(keepdims=True), (age * age).sum(keepdims=True)
        place = np.arange(self.first, self.first + self.n, dtype=np.float64)
        count = self.count(length)
        first = self._difference(self._running_place, length)
        second = self._difference(self._running_square, length)
        return place * count - first, place * place * count - 2.0 * place * first + second

    def extreme(self, kind: str, length: int) -> Array:
        """Return the smallest ("lo") or greatest ("hi") of the newest `length` values, infinite where none is there."""
        size = powers(length)[0]
        level = self._level(kind, size)
        newest = self._at(level, size, 0)
        if size == length:
            return newest
        # Halves may overlap, since an extreme counts nothing twice.
        return _JOIN[kind](newest, self._at(level, size, length - size), out=self._empty(self.n))

    def _level(self, kind: str, size: int, half_life: int = 0) -> Array:
        """Return the tree's level of `size` values; its entry i covers the places i to i + size - 1."""
        levels = self._levels.setdefault((kind, half_life), [])
        if not levels:
            levels.append(self._leaves(kind))
        while 1 << (len(levels) - 1) < size:
            below, half = levels[-1], 1 << (len(levels) - 1)
            newer, older = below[half:], below[:-half]
            made = self._empty(len(newer))
            if half_life:
                older = np.multiply(older, decay(half, half_life), out=made)
            levels.append(_JOIN[kind](newer, older, out=made))
        return levels[size.bit_length() - 1]

    def _leaves(self, kind: str) -> Array:
        if kind == "d":
            return self.deviations
        if kind == "d2":
            return np.multiply(self.deviations, self.deviations, out=self._empty(len(self.x)))
        if kind == "p":
            return self.presence
        if self.complete:
            return self.x
        result = self._empty(len(self.x))
        np.copyto(result, np.inf if kind == "lo" else -np.inf)
        np.copyto(result, self.x, where=self.present)
        return result

    def _moment(self, size: int, index: int) -> Array:
        """Return a node of the tree over age times deviation: ages index·size to (index + 1)·size - 1."""
        if (size, index) not in self._moments:
            if size == 1:
                made = np.multiply(self._at(self.deviations, 1, index), float(index), out=self._empty(self.n))
            else:
                newer, older = self._moment(size // 2, 2 * index), self._moment(size // 2, 2 * index + 1)
                made = np.add(newer, older, out=self._empty(self.n))
            self._moments[size, index] = made
        return self._moments[size, index]

    def _folded(self, parts: list[Array]) -> Array:
        """Return the parts' sum, the newest added last."""
        result = parts.pop()
        while parts:
            result = np.add(parts.pop(), result, out=self._empty(self.n))
        return result

    def _at(self, level: Array, size: int, offset: int) -> Array:
        """Return a level's entries for windows that end `offset` rows before each row of the block."""
        start = self.first - offset - size + 1
        return level[start : start + self.n]

    @cached_property
    def _running(self) -> Array:
        return _running(self.presence)

    @cached_property
    def _running_place(self) -> Array:
        return _running(self.presence * np.arange(len(self.x), dtype=np.float64))

    @cached_property
    def _running_square(self) -> Array:
        return _running(self.presence * np.arange(len(self.x), dtype=np.float64) ** 2)

    def _difference(self, running: Array, length: int) -> Array:
        end = self.first + 1
        before = running[end - length : end - length + self.n]
        return np.subtract(running[end : end + self.n], before, out=self._empty(self.n))


_JOIN = {"d": np.add, "d2": np.add, "p": np.add, "lo": np.minimum, "hi": np.maximum}


def _running(values: Array) -> Array:
    result = np.empty(len(values) + 1)
    result[0] = 0.0
    np.cumsum(values, out=result[1:])
    return result


def impute(values: Array, limit: int) -> None:
    """Fill gaps by the last value before them, at most `limit` rows old, in place; shape (n,)."""
    absent = np.isnan(values)
    if not absent.any():
        return
    place = np.arange(len(values))
    last = np.where(absent, -1 - limit, place)
    np.maximum.accumulate(last, out=last)
    place -= last
    # A row without a value before it finds itself here, or a row that is as missing.
    filled = values.take(np.maximum(last, 0))
    np.copyto(filled, np.nan, where=place > limit)
    values[:] = filled
