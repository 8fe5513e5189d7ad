"""Window sums and extremes of several columns at once, each by an order of operations that the online engine repeats.

A window of w values is summed as a balanced tree: 2^k values are the sum of two halves, and w is split into its
powers of two, the largest newest: 168 = 128 + (32 + 8). An incremental sum would be no dearer, but would depend on
where the series starts. Deviations are summed around a fixed centre, so that a variance needs no second pass.

A level holds the sums of 2^k values that start at each place, a row a column; columns with longer windows come first,
so that the columns which need a level are its first rows.
"""

import numpy as np

from components.preprocessing.sheet import Array, Sheet, stretches
from components.preprocessing.windows import decay, powers

#: What is summed: deviations ("d") or their squares ("d2"), and of which column.
Leaf = tuple[str, int]
Window = tuple[int, int]


def parts(length: int) -> list[tuple[int, int]]:
    """Return the sizes and offsets that a window is summed from, newest first; a power of two is two halves."""
    if length > 1 and length & (length - 1) == 0:
        return [(length // 2, 0), (length // 2, length // 2)]
    result, offset = [], 0
    for size in powers(length):
        result.append((size, offset))
        offset += size
    return result


def _level(size: int) -> int:
    return size.bit_length() - 1


class Sums:
    """Sums over windows of deviations and of their squares.

    Args:
        leaves: what is needed beside the windows' own leaves.
        windows: the windows, the rows of the result in this order.
        centres: what deviations are summed around, of each column.

    Attributes:
        place: row of each leaf among the leaves.
    """

    def __init__(self, leaves: list[Leaf], windows: list[tuple[Leaf, int]], centres: Array) -> None:
        depth = dict.fromkeys(leaves, 0)
        for leaf, length in windows:
            depth[leaf] = max(depth.get(leaf, 0), _level(parts(length)[0][0]))
        for _, column in list(depth):
            depth.setdefault(("d", column), 0)
        ordered = sorted(depth, key=lambda leaf: (-depth[leaf], leaf[0], leaf[1]))
        self.place = {leaf: row for row, leaf in enumerate(ordered)}
        self._rows = [sum(d >= level for d in depth.values()) for level in range(max(depth.values(), default=0) + 1)]
        self._columns = [column for kind, column in ordered if kind == "d"]
        first = [self.place["d", column] for column in self._columns]
        self._values = [
            (of, to, np.array(centres[of]).reshape(-1, 1)) for of, to in _sorted_stretches(self._columns, first)
        ]
        squares = [(self.place["d", column], row) for row, (kind, column) in enumerate(ordered) if kind == "d2"]
        self._squares = _sorted_stretches([a for a, _ in squares], [b for _, b in squares])
        self._folds: list[list[tuple[slice, slice, int, bool]]] = [[] for _ in self._rows]
        self._halves: list[list[tuple[slice, slice, int, int]]] = [[] for _ in self._rows]
        for length in dict.fromkeys(length for _, length in windows):
            mine = [(self.place[leaf], row) for row, (leaf, w) in enumerate(windows) if w == length]
            pieces = parts(length)
            for of, to in _sorted_stretches([a for a, _ in mine], [b for _, b in mine]):
                last = pieces[-1]
                if len(pieces) > 1 and pieces[-2][0] == last[0]:
                    self._halves[_level(last[0])].append((of, to, 0, last[1]))
                    continue
                for size, offset in pieces:
                    self._folds[_level(size)].append((of, to, offset, (size, offset) == last))
        self._windows = len(windows)

    def run(self, sheet: Sheet) -> tuple[Array, Array]:
        """Return the leaves, shape (leaves, first + n), and the sums, shape (windows, n)."""
        leaves = self._leaves(sheet)
        result = sheet.empty(self._windows, sheet.n)
        width = leaves.shape[1]
        rooms = [sheet.empty(self._rows[1], width - 1) for _ in range(2)] if self._rows[1:] else []
        level = leaves
        for k, folds in enumerate(self._folds):
            size = 1 << k
            for of, to, offset, first in folds:
                piece = _at(sheet, level[of], size, offset)
                if first:
                    result[to] = piece
                else:
                    np.add(piece, result[to], out=result[to])
            for of, to, newer, older in self._halves[k]:
                np.add(_at(sheet, level[of], size, newer), _at(sheet, level[of], size, older), out=result[to])
            if k + 1 < len(self._folds):
                width -= size
                made = rooms[k % 2][: self._rows[k + 1], :width]
                below = level[: self._rows[k + 1]]
                level = np.add(below[:, size:], below[:, :-size], out=made)
        return leaves, result

    def _leaves(self, sheet: Sheet) -> Array:
        result = sheet.empty(len(self.place), sheet.x.shape[1])
        for of, to, centre in self._values:
            np.subtract(sheet.x[of], centre, out=result[to])
        for column in self._columns:
            if not sheet.complete[column]:
                np.copyto(result[self.place["d", column]], 0.0, where=sheet.absent[column])
        for of, to in self._squares:
            np.multiply(result[of], result[of], out=result[to])
        return result


class Extremes:
    """Smallest or greatest values of windows, NaN where none is there.

    Args:
        function: fmin or fmax.
        groups: windows whose results go to one place each.
    """

    def __init__(self, function: np.ufunc, *groups: list[Window]) -> None:
        self._function = function
        depth: dict[int, int] = {}
        for column, length in (window for group in groups for window in group):
            depth[column] = max(depth.get(column, 0), _level(self._size(length)))
        ordered = sorted(depth, key=lambda column: (-depth[column], column))
        self._rows = [sum(d >= level for d in depth.values()) for level in range(max(depth.values(), default=0) + 1)]
        place = {column: row for row, column in enumerate(ordered)}
        self._first = _sorted_stretches(ordered[: self._rows[1]], list(range(self._rows[1]))) if self._rows[1:] else []
        self._folds: list[list[tuple[slice, slice, int, int]]] = [[] for _ in self._rows]
        for number, group in enumerate(groups):
            for length in dict.fromkeys(length for _, length in group):
                size = self._size(length)
                rows = [
                    (column if size == 1 else place[column], k) for k, (column, w) in enumerate(group) if w == length
                ]
                for of, to in _sorted_stretches([a for a, _ in rows], [b for _, b in rows]):
                    self._folds[_level(size)].append((of, to, number, length - size))

    @staticmethod
    def _size(length: int) -> int:
        """Return the size of two windows that together make up one; they may overlap, as an extreme counts nothing."""
        return 1 << ((length - 1).bit_length() - 1) if length > 1 else 1

    def run(self, sheet: Sheet, *outs: Array) -> None:
        """Write each group's extremes to its place, shape (windows, n)."""
        join, level, width = self._function, sheet.x, sheet.x.shape[1]
        rooms = [sheet.empty(self._rows[1], width - 1) for _ in range(2)] if self._rows[1:] else []
        for k, folds in enumerate(self._folds):
            size = 1 << k
            for of, to, group, offset in folds:
                here = level[of]
                join(_at(sheet, here, size, 0), _at(sheet, here, size, offset), out=outs[group][to])
            if k + 1 < len(self._folds):
                width -= size
                made = rooms[k % 2][: self._rows[k + 1], :width]
                spans = self._first if k == 0 else [(slice(0, len(made)), slice(0, len(made)))]
                for of, to in spans:
                    join(level[of, size:], level[of, :-size], out=made[to])
                level = made


def faded(sheet: Sheet, leaves: Array, half_life: int, length: int) -> Array:
    """Return the sums over the newest `length` of the leaves, weighted by age; shape (rows, n) of (rows, first + n)."""
    pieces = parts(length)
    levels = [leaves]
    while 1 << (len(levels) - 1) < pieces[0][0]:
        below, half = levels[-1], 1 << (len(levels) - 1)
        made = np.multiply(below[:, :-half], decay(half, half_life), out=sheet.empty(len(below), below.shape[1] - half))
        levels.append(np.add(below[:, half:], made, out=made))
    found = [_at(sheet, levels[_level(size)], size, offset) for size, offset in pieces]
    result, out = found.pop(), sheet.empty(len(leaves), sheet.n)
    for size, _ in pieces[-2::-1]:
        np.multiply(result, decay(size, half_life), out=out)
        result = np.add(found.pop(), out, out=out)
    return result


def moments(sheet: Sheet, leaf: Array, lengths: list[int], out: Array) -> None:
    """Write the sums of age times deviation over windows of a column to `out`, shape (lengths, n)."""
    longest, step = max(lengths), leaf.strides[0]
    ages = np.lib.stride_tricks.as_strided(leaf[sheet.first :], (longest, sheet.n), (-step, step), writeable=False)
    age = np.arange(longest, dtype=np.float64).reshape(-1, 1)
    levels = [np.multiply(ages, age, out=sheet.empty(longest, sheet.n))]
    while len(levels[-1]) > 1:
        half, below = len(levels[-1]) // 2, levels[-1]
        levels.append(np.add(below[: 2 * half : 2], below[1 : 2 * half : 2], out=sheet.empty(half, sheet.n)))
    for length, row in zip(lengths, out, strict=True):
        _fold([levels[_level(size)][offset // size] for size, offset in parts(length)], row)


def _fold(pieces: list[Array], out: Array) -> None:
    """Write the pieces' sum to `out`, the newest added last."""
    result = pieces.pop()
    if not pieces:
        out[:] = result
    while pieces:
        result = np.add(pieces.pop(), result, out=out)


def _at(sheet: Sheet, level: Array, size: int, offset: int) -> Array:
    """Return a level's entries for windows that end `offset` rows before each row of the block."""
    start = sheet.first - offset - size + 1
    return level[:, start : start + sheet.n]


def _sorted_stretches(of: list[int], to: list[int]) -> list[tuple[slice, ...]]:
    pairs = sorted(zip(of, to, strict=True))
    return stretches([a for a, _ in pairs], [b for _, b in pairs]) if pairs else []
