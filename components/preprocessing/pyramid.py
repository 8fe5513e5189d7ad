"""Trees over the newest values of several columns at once, as index arrays made once and executed by a few NumPy calls.

Each tree's leaves are gathered newest first in bit-reversed order, so that a level's pairs are its two halves:
position q and q + half hold neighbours, the newer one first. Trees of fewer leaves join at the level of their size.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from components.preprocessing.windows import decay, powers

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Tree:
    """What one tree combines.

    Attributes:
        kind: d (deviations), d2 (their squares), p (presence), m (age times deviation), lo or hi.
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


class Layout:
    """Where the nodes of all trees lie in one workspace: level after level, the widest first, then a neutral entry."""

    def __init__(self, request: Request) -> None:
        longest: dict[Tree, int] = {}
        for tree, length in request.windows:
            longest[tree] = max(length, longest.get(tree, 1))
        self.sizes = {tree: 1 << (length - 1).bit_length() for tree, length in longest.items()}
        self.lengths = longest
        # Widest first, so that a tree keeps its row from level to level.
        self.trees = sorted(self.sizes, key=lambda tree: (-self.sizes[tree], tree.kind, tree.column, tree.half_life))
        self.rows = {tree: row for row, tree in enumerate(self.trees)}
        widest = max(self.sizes.values(), default=1)
        self.widths = [widest >> k for k in range(widest.bit_length())]
        self.counts = [sum(size >= width for size in self.sizes.values()) for width in self.widths]
        steps = [width * count for width, count in zip(self.widths, self.counts, strict=True)]
        self.starts = [0, *np.cumsum(steps).tolist()][:-1]
        self.neutral = sum(steps)

    def leaves(self, tree: Tree) -> slice:
        """Return where a tree's leaves lie."""
        width = self.sizes[tree]
        start = self.starts[self.widths.index(width)] + self.rows[tree] * width
        return slice(start, start + width)

    def node(self, tree: Tree, size: int, index: int) -> int:
        """Return where the node over ages index·size to (index + 1)·size - 1 lies."""
        width = self.sizes[tree] // size
        level = self.widths.index(width)
        place = int(np.flatnonzero(reversed_bits(width) == index)[0])
        return int(self.starts[level]) + self.rows[tree] * width + place


@dataclass(frozen=True)
class _Level:
    """One halving: rows of `width` at `start` to rows of half the width at `to`."""

    start: int
    to: int
    count: int
    width: int
    weights: Array | None


class Pyramid:
    """The trees of a request, compiled for columns of `rows` values.

    Args:
        request: the windows wanted.
        rows: values of each column, oldest first.
        columns: number of columns.
        join: np.add, or np.maximum; smallest values are greatest ones of the negated values.
    """

    def __init__(self, request: Request, rows: int, columns: int, join: np.ufunc) -> None:
        self.layout = Layout(request)
        self.join = join
        self.source = np.full(self.layout.neutral + 1, -1, dtype=np.intp)
        self._gather(rows, columns)
        self.levels = [self._level(k) for k in range(len(self.layout.widths) - 1)]
        self.terms, self.weights = self._terms(request)
        self.squares = [self.layout.leaves(tree) for tree in self.layout.trees if tree.kind == "d2"]
        self.negated = [self.layout.leaves(tree) for tree in self.layout.trees if tree.kind == "lo"]
        self.moments = [
            (leaves, reversed_bits(leaves.stop - leaves.start).astype(np.float64))
            for leaves in (self.layout.leaves(tree) for tree in self.layout.trees if tree.kind == "m")
        ]

    def run(self, source: Array) -> Array:
        """Return the combined windows, in the order of the request.

        Args:
            source: for sums deviations, presence and a 0; for extremes values and a NaN.
        """
        work = source.take(self.source)
        self._leaves(work)
        for level in self.levels:
            half = level.width // 2
            below = work[level.start : level.start + level.count * level.width].reshape(level.count, level.width)
            newer, older = below[:, :half], below[:, half:]
            if level.weights is not None:
                older = older * level.weights
            to = work[level.to : level.to + level.count * half].reshape(level.count, half)
            self.join(newer, older, out=to)
        terms = work.take(self.terms)
        result: Array = terms[-1]
        for k in range(len(terms) - 2, -1, -1):
            result = self.join(terms[k], result if self.weights is None else self.weights[k] * result)
        return result

    def _leaves(self, work: Array) -> None:
        for place in self.squares:
            work[place] *= work[place]
        for place, ages in self.moments:
            work[place] *= ages
        for place in self.negated:
            np.negative(work[place], out=work[place])
        if self.join is np.maximum:
            np.copyto(work, -np.inf, where=np.isnan(work))

    def _gather(self, rows: int, columns: int) -> None:
        for tree in self.layout.trees:
            place = self.layout.leaves(tree)
            ages = reversed_bits(place.stop - place.start)
            start = (tree.column + (columns if tree.kind == "p" else 0)) * rows
            self.source[place] = np.where(ages < self.layout.lengths[tree], start + rows - 1 - ages, -1)

    def _level(self, k: int) -> _Level:
        layout = self.layout
        count, width = layout.counts[k], layout.widths[k]
        weights = np.ones((count, 1))
        for row, tree in enumerate(layout.trees[:count]):
            if tree.half_life:
                weights[row] = decay(layout.sizes[tree] // width, tree.half_life)
        plain = bool((weights == 1.0).all())
        return _Level(layout.starts[k], layout.starts[k + 1], count, width, None if plain else weights)

    def _terms(self, request: Request) -> tuple[Places, Array | None]:
        most = max((len(powers(length)) for _, length in request.windows), default=1)
        terms = np.full((most, len(request.windows)), self.layout.neutral, dtype=np.intp)
        weights = np.ones((most, len(request.windows)))
        for column, (tree, length) in enumerate(request.windows):
            offset = 0
            for k, size in enumerate(powers(length)):
                terms[k, column] = self.layout.node(tree, size, offset // size)
                offset += size
                if tree.half_life:
                    weights[k, column] = decay(size, tree.half_life)
        return terms, None if bool((weights == 1.0).all()) else weights
