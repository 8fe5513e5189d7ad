"""Trees over the newest values of several columns at once, as index arrays made once and executed by a few NumPy calls.

Each tree's leaves are gathered newest first in bit-reversed order, so that a level's pairs are its two halves:
position q and q + half hold neighbours, the newer one first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from almanac.features.windows import decay, powers

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Tree:
    """What one tree combines.

    Attributes:
        kind: d (deviations), d2 (their squares), p (presence) or m (age times deviation).
        column: place of the column.
        half_life: of the ages' weights, 0 for none.
    """

    kind: str
    column: int
    half_life: int = 0


@dataclass
class Request:
    """Windows wanted of trees, in order; the same one may be wanted twice."""

    windows: list[tuple[Tree, int]] = field(default_factory=list)

    def add(self, tree: Tree, length: int) -> None:
        """Want the newest `length` values of `tree` combined."""
        self.windows.append((tree, length))


def reversed_bits(size: int) -> Places:
    """Return the bit reversal of 0 to size - 1; size is a power of two."""
    result = np.zeros(1, dtype=np.intp)
    while len(result) < size:
        result = np.concatenate([2 * result, 2 * result + 1])
    return result


class Pyramid:
    """The trees of a request, compiled for columns of `rows` values, with a workspace of its own: one thread's.

    The workspace holds level after level, and in a level position after position the entries of all trees; a shorter
    tree is filled up with zeros, which change no sum. So a level is two flat halves.

    Args:
        request: the windows wanted.
        rows: values of each column, oldest first.
        columns: number of columns.
    """

    def __init__(self, request: Request, rows: int, columns: int) -> None:
        longest: dict[Tree, int] = {}
        for tree, length in request.windows:
            longest[tree] = max(length, longest.get(tree, 1))
        self._trees = list(longest)
        self._width = 1 << (max(longest.values(), default=1) - 1).bit_length()
        self._starts = [0]
        for level in range(self._width.bit_length()):
            self._starts.append(self._starts[-1] + len(self._trees) * (self._width >> level))
        self._work = np.zeros(self._starts[-1] + 1)
        self._leaves = self._work[: self._starts[1]]
        self._source = self._gather(longest, rows, columns)
        self._factors = self._leaf_factors()
        self._squares = self._of_kind("d2")
        self._steps = [step for level in range(len(self._starts) - 2) for step in self._level(level)]
        self._terms, self._weights = self._make_terms(request)
        self._taken = np.empty(self._terms.shape)

    def run(self, source: Array) -> Array:
        """Return the sums over the windows, in the order of the request; valid until the next run.

        Args:
            source: deviations and presence of all columns, flat, and a 0.
        """
        source.take(self._source, out=self._leaves, mode="clip")
        if self._squares is not None:
            np.multiply(self._squares, self._squares, out=self._squares)
        if self._factors is not None:
            np.multiply(self._leaves, self._factors, out=self._leaves)
        for function, left, right, out in self._steps:
            function(left, right, out)
        taken = self._work.take(self._terms, out=self._taken, mode="clip")
        for k in range(len(taken) - 2, -1, -1):
            if self._weights is not None:
                np.multiply(taken[k + 1], self._weights[k], out=taken[k + 1])
            np.add(taken[k], taken[k + 1], out=taken[k])
        result: Array = taken[0]
        return result

    def _gather(self, longest: dict[Tree, int], rows: int, columns: int) -> Places:
        """Return where the leaves come from; a leaf older than its tree's longest window is the source's 0."""
        result = np.full((self._width, len(self._trees)), 2 * rows * columns, dtype=np.intp)
        ages = reversed_bits(self._width)
        for row, tree in enumerate(self._trees):
            newest = (tree.column + (columns if tree.kind == "p" else 0) + 1) * rows - 1
            within = ages < longest[tree]
            result[within, row] = newest - ages[within]
        return result.ravel()

    def _leaf_factors(self) -> Array | None:
        factors = np.ones((self._width, len(self._trees)))
        for row, tree in enumerate(self._trees):
            if tree.kind == "m":
                factors[:, row] = reversed_bits(self._width)
        return None if bool((factors == 1.0).all()) else factors.ravel()

    def _of_kind(self, kind: str) -> Array | None:
        """Return the leaves of a kind's trees, which are neighbours in a request's order; a view."""
        rows = [row for row, tree in enumerate(self._trees) if tree.kind == kind]
        return self._leaves.reshape(self._width, -1)[:, rows[0] : rows[-1] + 1] if rows else None

    def _level(self, level: int) -> Iterator[tuple[np.ufunc, Array, Array, Array]]:
        """Yield the operations that turn a level into the next: older halves weighted, then added to the newer."""
        start, middle, stop = self._starts[level], self._starts[level + 1], self._starts[level + 2]
        half = (middle - start) // 2
        newer, older = self._work[start : start + half], self._work[start + half : middle]
        weights = np.array([decay(1 << level, tree.half_life) if tree.half_life else 1.0 for tree in self._trees])
        if not (weights == 1.0).all():
            faded = np.empty(half)
            yield np.multiply, older, np.tile(weights, half // len(weights)), faded
            older = faded
        yield np.add, newer, older, self._work[middle:stop]

    def _node(self, tree: Tree, size: int, index: int) -> int:
        """Return where the node over ages index·size to (index + 1)·size - 1 lies."""
        width = self._width // size
        place = int(np.flatnonzero(reversed_bits(width) == index)[0])
        return self._starts[size.bit_length() - 1] + place * len(self._trees) + self._trees.index(tree)

    def _make_terms(self, request: Request) -> tuple[Places, Array | None]:
        most = max((len(powers(length)) for _, length in request.windows), default=1)
        terms = np.full((most, len(request.windows)), len(self._work) - 1, dtype=np.intp)
        weights = np.ones((most, len(request.windows)))
        for column, (tree, length) in enumerate(request.windows):
            offset = 0
            for k, size in enumerate(powers(length)):
                terms[k, column] = self._node(tree, size, offset // size)
                offset += size
                if tree.half_life:
                    weights[k, column] = decay(size, tree.half_life)
        return terms, None if bool((weights == 1.0).all()) else weights
