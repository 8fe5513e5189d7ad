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

    def __init__(self, leaves: list[Leaf], windows: list[tuple[Leaf, int]], centres: list[float]) -> None:
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
        self._folds = []
        for length in dict.fromkeys(length for _, length in windows):
            mine = [(self.place[leaf], row) for row, (leaf, w) in enumerate(windows) if w == length]
            self._folds.append((parts(length), _sorted_stretches([a for a, _ in mine], [b for _, b in mine])))
        self._windows = len(windows)

    def run(self, sheet: Sheet) -> tuple[Array, Array]:
        """Return the leaves, shape (leaves, first + n), and the sums, shape (windows, n)."""
        leaves = self._leaves(sheet)
        levels = [leaves]
        for level, rows in enumerate(self._rows[1:]):
            below, half = levels[-1][:rows], 1 << level
            made = sheet.empty(rows, below.shape[1] - half)
            levels.append(np.add(below[:, half:], below[:, :-half], out=made))
        result = sheet.empty(self._windows, sheet.n)
        for pieces, spans in self._folds:
            for of, to in spans:
                _fold(sheet, [_at(sheet, levels[_level(size)][of], size, offset) for size, offset in pieces], result[to])
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
        self._folds = []
        for group in groups:
            folds = []
            for length in dict.fromkeys(length for _, length in group):
                size = self._size(length)
                rows = [(column if size == 1 else place[column], k) for k, (column, w) in enumerate(group) if w == length]
                folds.append((size, length, _sorted_stretches([a for a, _ in rows], [b for _, b in rows])))
            self._folds.append(folds)

    @staticmethod
    def _size(length: int) -> int:
        """Return the size of two windows that together make up one; they may overlap, as an extreme counts nothing."""
        return 1 << ((length - 1).bit_length() - 1) if length > 1 else 1

    def run(self, sheet: Sheet, *outs: Array) -> None:
        """Write each group's extremes to its place, shape (windows, n)."""
        levels, join = [sheet.x], self._function
        if self._first:
            made = sheet.empty(self._rows[1], sheet.x.shape[1] - 1)
            for of, to in self._first:
                join(sheet.x[of, 1:], sheet.x[of, :-1], out=made[to])
            levels.append(made)
        for level, rows in enumerate(self._rows[2:], start=1):
            below, half = levels[-1][:rows], 1 << level
            made = sheet.empty(rows, below.shape[1] - half)
            levels.append(join(below[:, half:], below[:, :-half], out=made))
        for folds, out in zip(self._folds, outs, strict=True):
            for size, length, spans in folds:
                for of, to in spans:
                    level = levels[_level(size)][of]
                    join(_at(sheet, level, size, 0), _at(sheet, level, size, length - size), out=out[to])


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
    level = sheet.empty(longest, sheet.n)
    levels = [np.multiply(ages, np.arange(longest, dtype=np.float64).reshape(-1, 1), out=level)]
    while len(levels[-1]) > 1:
        half, below = len(levels[-1]) // 2, levels[-1]
        levels.append(np.add(below[: 2 * half : 2], below[1 : 2 * half : 2], out=sheet.empty(half, sheet.n)))
    for length, row in zip(lengths, out, strict=True):
        _fold(sheet, [levels[_level(size)][offset // size] for size, offset in parts(length)], row)


def _fold(sheet: Sheet, pieces: list[Array], out: Array) -> None:
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
