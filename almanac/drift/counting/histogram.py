"""Frozen grids: values are counted into the cells of a reference, in one pass and without sorting.

A feature's axis is cut twice. *Buckets* are many and cheap to address: a multiplication, or the leading bits of a
float. *Cells* are at most about a thousand runs of buckets, cut so that each holds the same share of the reference.
Because cells end where buckets end, the counts at every cell edge are exact, and so is the distance of two cumulative
distributions there; what lies between two edges is at most one cell's share.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
#: Counts, or counts scaled to a mixture of seasons.
Weights = NDArray[np.int64] | NDArray[np.float64]
Numeric = NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int64]

BucketKind = Literal["linear", "float"]
#: Most cells of a feature.
CELLS = 1024
#: Values looked at together: the scratch stays in the second-level cache.
_CHUNK = 1 << 16
_LINEAR = 1 << 14
_FLOAT = 1 << 16
# Adding 2**52 rounds a double to an integer and leaves that integer in its low bits: a cast that NaN cannot upset.
_MAGIC = 2.0**52
_MAGIC_BITS = np.float64(_MAGIC).view(np.int64)


@dataclass(frozen=True)
class Buckets:
    """A monotone map from values to bucket numbers; number 0 is kept for missing values.

    Attributes:
        kind: `linear` cuts a range evenly and keeps a bucket for all below and one for all above; `float` takes the
            sign, the exponent and seven bits of the mantissa of the distance from `origin`, for heavy tails.
        origin: where the range begins (linear), or the centre (float).
        scale: buckets per unit (linear).
    """

    kind: BucketKind
    origin: float
    scale: float = 1.0

    @property
    def size(self) -> int:
        """How many bucket numbers there are, 0 included."""
        return _LINEAR if self.kind == "linear" else _FLOAT

    def numbers(self, values: Numeric, scratch: Floats) -> Counts:
        """Return the bucket number of each of `values` (n,), using `scratch` (at least n)."""
        work = scratch[: len(values)]
        np.subtract(values, self.origin, out=work)
        numbers = self._linear(work) if self.kind == "linear" else self._float(work)
        if values.dtype.kind == "f":
            missing = np.isnan(values)
            if missing.any():
                numbers[missing] = 0
        return numbers

    def _linear(self, work: Floats) -> Counts:
        np.multiply(work, self.scale, out=work)
        # Values beyond the range go to the outermost buckets rather than being dropped: drift shows there first.
        np.maximum(work, -1.0, out=work)
        np.minimum(work, _LINEAR - 3.0, out=work)
        # Not astype(int): casting NaN or infinity is undefined and slow.
        np.add(work, _MAGIC + 2, out=work)
        numbers = work.view(np.int64)
        np.subtract(numbers, _MAGIC_BITS, out=numbers)
        return numbers

    def _float(self, work: Floats) -> Counts:
        # Minus zero equals zero, but has other bits; adding zero makes it zero.
        bits = (work.astype(np.float32) + np.float32(0)).view(np.int32)
        np.bitwise_xor(bits, np.bitwise_and(np.right_shift(bits, 31), 0x7FFFFFFF), out=bits)
        # Sign, exponent and seven bits of the mantissa, which order like the numbers themselves.
        numbers = np.right_shift(bits, 16).astype(np.int64)
        numbers += 1 << 15
        return numbers

    def lower(self, numbers: Counts) -> Floats:
        """Return the smallest value of each of the bucket `numbers`."""
        if self.kind == "linear":
            with np.errstate(over="ignore"):  # next to the largest float an edge ends there
                return np.asarray(np.nan_to_num(self.origin + (numbers - 2.5) / self.scale), np.float64)
        bits = ((numbers - (1 << 15)) << 16).astype(np.int32)
        bits ^= (bits >> 31) & 0x7FFFFFFF
        with np.errstate(all="ignore"):
            return np.asarray(np.nan_to_num(self.origin + bits.view(np.float32).astype(np.float64)), np.float64)

    def count(self, values: Numeric) -> Counts:
        """Return how many of `values` (n,) fall in each bucket, as an array of length `size`."""
        scratch = np.empty(min(_CHUNK, max(1, len(values))))
        total = np.zeros(self.size, np.int64)
        with np.errstate(all="ignore"):
            for start in range(0, len(values), _CHUNK):
                total += np.bincount(self.numbers(values[start : start + _CHUNK], scratch), minlength=self.size)
        return total


@dataclass(frozen=True)
class Grid:
    """Buckets, and cells as runs of buckets.

    Attributes:
        buckets: the map from values to buckets.
        starts: first bucket of each cell (k,), ascending; the first is 1.
    """

    buckets: Buckets
    starts: Counts

    @property
    def cells(self) -> int:
        """Number of cells k."""
        return len(self.starts)

    @property
    def lower(self) -> Floats:
        """Smallest value of each cell (k,); the first cell has none and repeats the second's."""
        edges = self.buckets.lower(self.starts)
        if len(edges) > 1:
            edges[0] = edges[1]
        return edges

    def count(self, values: Numeric) -> tuple[Counts, int]:
        """Return the counts of `values` (n,) in each cell (k,), and how many are missing."""
        if len(values) * 16 > self.buckets.size:
            return self.gather(self.buckets.count(values))
        # For a few values a search is faster than a pass over all buckets.
        with np.errstate(all="ignore"):
            numbers = self.buckets.numbers(values, np.empty(len(values)))
        cells = np.searchsorted(self.starts, numbers, side="right")
        counts = np.bincount(cells, minlength=self.cells + 1)
        return counts[1:], int(counts[0])

    def gather(self, histogram: Counts) -> tuple[Counts, int]:
        """Return bucket counts (`buckets.size`,) as cell counts (k,), and how many values are missing."""
        return np.add.reduceat(histogram, self.starts), int(histogram[0])

    def table(self) -> NDArray[np.uint16]:
        """Return the cell of each bucket (`buckets.size`,); bucket 0 has the number k."""
        cells = np.searchsorted(self.starts, np.arange(self.buckets.size), side="right") - 1
        cells[0] = self.cells
        return cells.astype(np.uint16)


def fit_grid(sample: Floats) -> Grid:
    """Return the grid whose cells hold equal shares of `sample` (n,), missing values left out.

    Args:
        sample: values of the reference; all of them, or some tens of thousands drawn evenly.
    """
    values = sample[np.isfinite(sample)]
    if not len(values):
        return Grid(Buckets("linear", 0.0), np.array([1]))
    values = np.sort(values)
    buckets = _choose(values)
    return Grid(buckets, _cut(buckets.count(values)))


def _choose(ordered: Floats) -> Buckets:
    """Return the first map that separates the ascending values `ordered` well, or the one that does it best."""
    n = len(ordered)
    low, high, inner_low, inner_high = (float(ordered[int(q * (n - 1))]) for q in (0.0, 1.0, 0.001, 0.999))
    centre = float(ordered[n // 2])
    best, best_share = None, np.inf
    # Even cuts are the cheapest to address; the others are for outliers and for heavy tails.
    for candidate in (_even(low, high), _even(inner_low, inner_high), Buckets("float", centre), Buckets("float", 0.0)):
        share = _coarsest(candidate, ordered)
        if share < best_share:
            best, best_share = candidate, share
        if share <= 1 / 500:
            break
    assert best is not None
    return best


def _even(low: float, high: float) -> Buckets:
    width = high - low
    # A constant, or a range whose width is no number.
    if not 1e-290 < width < 1e290:
        return Buckets("linear", low, 1e6 / max(1.0, abs(low)))
    return Buckets("linear", low, (_LINEAR - 4) / width)


def _coarsest(buckets: Buckets, ordered: Floats) -> float:
    """Return the largest share of a bucket in which different values of `ordered` fall together."""
    with np.errstate(all="ignore"):
        numbers = buckets.numbers(ordered, np.empty(len(ordered)))
    first = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
    last = np.r_[first[1:], len(ordered)] - 1
    mixed = ordered[first] != ordered[last]
    return float(((last - first + 1) * mixed).max() / len(ordered))


def _cut(histogram: Counts) -> Counts:
    """Return the first buckets of cells of equal shares; a bucket that outweighs a cell becomes one by itself."""
    present = histogram.copy()
    present[0] = 0
    total = int(present.sum())
    cumulated = np.cumsum(present)
    crossing = np.unique(np.searchsorted(cumulated, total * np.arange(1, CELLS) / CELLS))
    # A value that outweighs a cell, such as zero rain, gets a cell of its own, or it would hide its neighbours.
    heavy = crossing[present[crossing] * CELLS >= total]
    occupied = np.flatnonzero(present)
    starts = np.concatenate(([1, occupied[0], occupied[-1] + 1], crossing + 1, heavy))
    return np.unique(starts[(starts >= 1) & (starts < len(histogram))]).astype(np.int64)
