"""Counters of rows for drift: all watched columns of a block of rows are counted together.

`RowCounters` does it by a few array operations for each block; `CompiledRowCounters` does the same in C, in a tenth of
the time, where the library can be loaded.
"""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from almanac.core.errors import NoCompilerError
from almanac.drift.counting.accumulators import ABOVE, BELOW, HEAD, MISSING, OFF, ROWS, NumericLayout
from almanac.drift.counting.histogram import BucketKind, Buckets, Counts, Floats, Grid
from almanac.native.libraries import DRIFT

_MAGIC = 2.0**52
_MAGIC_BITS = np.float64(_MAGIC).view(np.int64)
_COLUMNS = ("position", "by_bits", "bucket_offset", "cell_offset", "missing_cell")
_NUMBERS = ("origin", "scale", "top", "low", "high", "unit")
_STATE = ("counts", "below", "above", "off", "longest", "run", "last")


@lru_cache(maxsize=4)
def _table(grids: tuple[tuple[BucketKind, bytes], ...]) -> NDArray[np.uint16]:
    """Return the cell of every bucket of all columns; cached, because the targets of a model share their columns."""
    return np.concatenate([Grid(Buckets(kind, 0.0), np.frombuffer(starts, np.int64)).table() for kind, starts in grids])


class RowCounters:
    """The counters of all watched columns, in NumPy.

    Args:
        layouts: layouts of the watched columns.
        positions: their positions in a row.
        width: columns of a row.

    Attributes:
        rows: rows counted.
        counts: values in each cell of all columns, and behind the cells of a column its missing values.
        longest: longest run of equal values of each column.
        beyond: values below and above each column's range, shape (2, columns).
        off: values of each column that have more decimals than the reference.
    """

    def __init__(self, layouts: Sequence[NumericLayout], positions: Sequence[int], width: int) -> None:
        self._layouts = layouts
        grids = [layout.grid for layout in layouts]
        self._grids = grids
        self._positions = None if len(positions) == width else np.array(positions, np.int64)
        self._origin = np.array([grid.buckets.origin for grid in grids])
        self._scale = np.array([grid.buckets.scale for grid in grids])
        self._top = np.array([grid.buckets.size - 3.0 for grid in grids])
        self._floats = [i for i, grid in enumerate(grids) if grid.buckets.kind == "float"]
        self._low = np.array([layout.low for layout in layouts], np.float64)
        self._high = np.array([layout.high for layout in layouts], np.float64)
        self._unit = np.array([10.0**layout.decimals if layout.decimals is not None else 0.0 for layout in layouts])
        sizes = [grid.buckets.size for grid in grids]
        self._bucket_offsets = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
        # One more cell a column, for the missing.
        self._ends = np.cumsum([grid.cells + 1 for grid in grids])
        self._cell_offsets = np.concatenate(([0], self._ends[:-1])).astype(np.int64)
        # Bytes, because the key of the cache must be hashable.
        self._table = _table(tuple((grid.buckets.kind, grid.starts.astype(np.int64).tobytes()) for grid in grids))
        columns = len(grids)
        self.counts: Counts = np.empty(int(self._ends[-1]), np.int64)
        self.longest: Counts = np.empty(columns, np.int64)
        self.beyond: Counts = np.empty((2, columns), np.int64)
        self.off: Counts = np.empty(columns, np.int64)
        self._last: Floats = np.empty(columns)
        self._run: Counts = np.empty(columns, np.int64)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.rows = 0
        # In place: the compiled counters know these arrays by their addresses.
        for counts in (self.counts, self.longest, self.beyond, self.off, self._run):
            counts.fill(0)
        self._last.fill(np.nan)

    def count(self, rows: Floats) -> None:
        """Count a block of rows (n, width)."""
        if self._positions is not None:
            rows = rows[:, self._positions]
        with np.errstate(all="ignore"):
            missing = np.isnan(rows)
            numbers = self._buckets(rows, missing)
            numbers += self._bucket_offsets
            # All columns share one vector of counters, each at its own offset, so that one bincount counts them all.
            cells = self._table[numbers] + self._cell_offsets
            self.counts += np.bincount(cells.ravel(), minlength=len(self.counts))
            self.beyond[0] += np.count_nonzero(rows < self._low, axis=0)
            self.beyond[1] += np.count_nonzero(rows > self._high, axis=0)
            scaled = rows * self._unit
            self.off += np.count_nonzero(np.abs(scaled - np.rint(scaled)) > 1e-3, axis=0)
        self._follow(rows, missing)
        self.rows += len(rows)

    def _buckets(self, rows: Floats, missing: NDArray[np.bool_]) -> Counts:
        work = (rows - self._origin) * self._scale
        np.maximum(work, -1.0, out=work)
        np.minimum(work, self._top, out=work)
        work += _MAGIC + 2
        numbers: NDArray[np.int64] = work.view(np.int64)
        numbers -= _MAGIC_BITS
        for column in self._floats:
            numbers[:, column] = self._grids[column].buckets.numbers(rows[:, column], np.empty(len(rows)))
        # Bucket 0 is that of missing values.
        numbers[missing] = 0
        return numbers

    def _follow(self, rows: Floats, missing: NDArray[np.bool_]) -> None:
        """Follow the runs of equal values through the rows of a block, beginning with those of the block before."""
        # Numbers of rows begin behind the longest run so far: where a run began is positive, and all others are 0.
        first = int(self._run.max()) + 1
        numbers = np.arange(first, first + len(rows))[:, None]
        starts = np.empty(rows.shape, np.int64)
        starts[0] = np.where(rows[0] == self._last, first - self._run, first)
        np.multiply(rows[1:] != rows[:-1], numbers[1:], out=starts[1:])
        np.maximum.accumulate(starts, axis=0, out=starts)
        lengths = np.subtract(numbers + 1, starts, out=starts)
        lengths[missing] = 0
        np.maximum(self.longest, lengths.max(axis=0), out=self.longest)
        self._last[:], self._run[:] = rows[-1], lengths[-1]

    def tally(self, column: int) -> tuple[Counts, Floats]:
        """Return the fine counts (k,) and the tally (w,) of a column."""
        layout = self._layouts[column]
        cells = self.counts[self._cell_offsets[column] : self._ends[column]]
        fine = cells[:-1]
        tally = np.zeros(layout.width)
        tally[len(HEAD) :] = np.add.reduceat(fine, layout.groups)
        tally[ROWS], tally[MISSING] = self.rows, cells[-1]
        tally[BELOW], tally[ABOVE] = self.beyond[:, column]
        tally[OFF] = self.off[column]
        return fine, tally


class _Counters(ctypes.Structure):
    """`counters` of drift.c."""

    _fields_ = [
        ("columns", ctypes.c_int64),
        ("width", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in (*_COLUMNS, *_NUMBERS, "table", *_STATE)),
    ]


class CompiledRowCounters(RowCounters):
    """The counters of all watched columns, in C.

    Args:
        library: the compiled library.
        layouts: as `RowCounters`, and so are `positions` and `width`.
    """

    def __init__(self, library: Any, layouts: Sequence[NumericLayout], positions: Sequence[int], width: int) -> None:
        super().__init__(layouts, positions, width)
        columns, by_bits = len(layouts), np.zeros(len(layouts), np.int64)
        by_bits[self._floats] = 1
        # The library is given addresses, so the arrays must live as long as this object.
        self._arrays = {
            "position": np.array(positions, np.int64),
            "by_bits": by_bits,
            "bucket_offset": self._bucket_offsets,
            "cell_offset": self._cell_offsets,
            "missing_cell": (self._ends - 1).astype(np.int64),
            **{name: getattr(self, f"_{name}") for name in (*_NUMBERS, "table")},
            "counts": self.counts, "below": self.beyond[0], "above": self.beyond[1], "off": self.off,
            "longest": self.longest, "run": self._run, "last": self._last,
        }  # fmt: skip
        addresses = {name: array.ctypes.data for name, array in self._arrays.items()}
        self._counters = _Counters(columns=columns, width=width, **addresses)
        self._pointer = ctypes.byref(self._counters)
        self._count_rows = library.almanac_count_rows

    def count(self, rows: Floats) -> None:
        """Count a block of rows (n, width)."""
        rows = np.ascontiguousarray(rows, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self._counters.width:
            raise ValueError(f"rows have shape {rows.shape}; expected (n, {self._counters.width})")
        self._count_rows(self._pointer, ctypes.c_void_p(rows.ctypes.data), ctypes.c_int64(len(rows)))
        self.rows += len(rows)


def row_counters(layouts: Sequence[NumericLayout], positions: Sequence[int], width: int) -> RowCounters:
    """Return the counters of the watched columns, compiled where the library can be loaded; arguments as there."""
    try:
        library = DRIFT.load()
    except NoCompilerError:  # which the library has logged
        return RowCounters(layouts, positions, width)
    return CompiledRowCounters(library, layouts, positions, width)
