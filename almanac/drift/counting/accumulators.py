"""Counting of numbers: tallies that add up over stretches of rows, and runs that join where stretches meet."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from almanac.drift.counting.histogram import Counts, Floats, Grid, Numeric, fit_grid
from almanac.drift.counting.runs import Runs

#: The sums at the head of a tally; the cells follow.
# GAPS: runs of missing values; PAIRS and MOVES: steps from row to row, and those that moved; TRAVEL: their length;
# OFF: values off the resolution, or unseen categories; BELOW and ABOVE: values beyond the reference's range.
HEAD = ("rows", "missing", "gaps", "pairs", "moves", "travel", "off", "below", "above", "infinite")
ROWS, MISSING, GAPS, PAIRS, MOVES, TRAVEL, OFF, BELOW, ABOVE, INFINITE = range(len(HEAD))
_CHUNK = 1 << 16


@dataclass(frozen=True)
class NumericLayout:
    """How a numeric column is counted.

    Attributes:
        grid: fine cells.
        groups: first cell of each group (g,): the coarser cells that are kept by season.
        bins: first group of each bin of the stability index (b,).
        decimals: decimals of the reference's values where it has a resolution, else None.
        low: smallest finite value of the reference; -inf while the reference itself is counted.
        high: largest.
    """

    grid: Grid
    groups: Counts
    bins: Counts
    decimals: int | None = None
    low: float = -np.inf
    high: float = np.inf

    @property
    def width(self) -> int:
        """Length of a tally."""
        return len(HEAD) + len(self.groups)

    @property
    def lower(self) -> Floats:
        """Smallest value of each group (g,)."""
        edges = self.grid.lower[self.groups]
        # The first group reaches down to minus infinity, where a plot or a quantile has no use for it.
        if len(edges) > 1:
            edges[0] = edges[1]
        return edges


@dataclass
class Stretch:
    """The counts of one column over one stretch of rows.

    Attributes:
        tally: the sums of HEAD, then the groups or categories (w,).
        fine: counts of the fine cells (k,); empty for categories.
        runs: runs of equal values.
        minimum: smallest finite value.
        maximum: largest finite value.
        labels: how often each category occurs; empty for numbers.
    """

    tally: Floats
    fine: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    runs: Runs = field(default_factory=Runs)
    minimum: float = np.inf
    maximum: float = -np.inf
    labels: dict[str, int] = field(default_factory=dict)

    def add(self, after: "Stretch", contiguous: bool) -> None:
        """Add the counts of a later stretch; runs join only where it follows straight after."""
        self.tally = self.tally + after.tally
        self.fine = self.fine + after.fine if len(self.fine) else after.fine
        for label, count in after.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count
        self.minimum, self.maximum = min(self.minimum, after.minimum), max(self.maximum, after.maximum)
        joined = self.runs.join(after.runs)
        # Between stretches that are no neighbours, a run would be made of rows that are far apart.
        if not contiguous:
            joined.longest = max(self.runs.longest, after.runs.longest)
        self.runs = joined


def count_numeric(values: Numeric, layout: NumericLayout, ordered: bool) -> Stretch:
    """Return the counts of `values` (n,), whose rows follow each other in time where `ordered`."""
    # One count of fine cells serves all measures: the groups and the bins are sums of it.
    fine, missing = layout.grid.count(values)
    tally = np.zeros(layout.width)
    tally[len(HEAD) :] = np.add.reduceat(fine, layout.groups)
    tally[ROWS], tally[MISSING] = len(values), missing
    smallest, largest = _range(values, missing)
    # Infinite values are rare; only then is the column copied without them.
    if np.isinf(smallest) or np.isinf(largest):
        finite = values[np.isfinite(values)]
        tally[INFINITE] = len(values) - missing - len(finite)
        smallest, largest = _range(finite, 0)
    # The range of the stretch says at no cost whether any value can be beyond that of the reference.
    tally[BELOW] = np.count_nonzero(values < layout.low) if smallest < layout.low or tally[INFINITE] else 0
    tally[ABOVE] = np.count_nonzero(values > layout.high) if largest > layout.high or tally[INFINITE] else 0
    if layout.decimals is not None:
        tally[OFF] = _off(values, layout.decimals)
    if ordered:
        _movement(values, missing, tally)
    return Stretch(tally, fine, Runs.of(values), smallest, largest)


def set_out(stretch: Stretch, labels: Sequence[str]) -> Floats:
    """Return the tally of categories as HEAD, the counts of `labels` (l,), and the count of all others."""
    counts = np.array([stretch.labels.get(label, 0) for label in labels], np.float64)
    others = sum(stretch.labels.values()) - counts.sum()
    tally = np.concatenate((stretch.tally, counts, [others]))
    tally[OFF] = others
    return tally


def _range(values: Numeric, missing: int) -> tuple[float, float]:
    if len(values) <= missing:
        return np.inf, -np.inf
    if missing:
        return float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    return float(values.min()), float(values.max())


def _off(values: Numeric, decimals: int) -> int:
    """Return how many values are no multiple of the resolution."""
    if values.dtype.kind != "f":
        return 0
    off = 0
    with np.errstate(all="ignore"):
        # In pieces that stay in the second-level cache.
        for start in range(0, len(values), _CHUNK):
            scaled = values[start : start + _CHUNK] * 10.0**decimals
            off += int(np.count_nonzero(np.abs(scaled - np.rint(scaled)) > 1e-3))
    return off


def _movement(values: Numeric, missing: int, tally: Floats) -> None:
    """Count the steps from row to row: how many, how many that moved, and how far they moved together."""
    # Infinities and missing values make steps that are sorted out below.
    with np.errstate(all="ignore"):
        steps = np.abs(np.diff(values.astype(np.float64, copy=False)))
    moved = (steps > 0) & (steps < np.inf)
    tally[MOVES] = np.count_nonzero(moved)
    # A step to or from a missing value is NaN, which differs from itself.
    tally[PAIRS] = np.count_nonzero(steps == steps) if missing else max(0, len(values) - 1)
    tally[TRAVEL] = steps.sum(where=moved) if tally[MOVES] else 0.0
    if missing:
        absent = np.isnan(values)
        tally[GAPS] = np.count_nonzero(absent[1:] & ~absent[:-1]) + int(absent[0])


def decimals_of(sample: Floats) -> int | None:
    """Return the decimals, up to four, that nearly all of `sample` (n,) keeps to, or None."""
    finite = sample[np.isfinite(sample)]
    # Beyond a billion a double has no four decimals to speak of.
    if len(finite) < 30 or np.abs(finite).max() > 1e9:
        return None
    for decimals in range(5):
        if _off(finite, decimals) <= len(finite) // 1000:
            return decimals
    return None


def group_starts(counts: Floats | Counts, groups: int) -> Counts:
    """Return the first cells of about `groups` groups of equal shares; empty outermost cells stay by themselves.

    Args:
        counts: values of the reference in each cell (k,).
        groups: about how many.
    """
    total = max(float(counts.sum()), 1.0)
    before = np.cumsum(counts) - counts
    number = np.floor(before * groups / total).astype(np.int64)
    first = np.r_[True, number[1:] != number[:-1]]
    # Values below the sample's range must not be counted among its smallest values.
    if len(counts) > 1 and counts[0] == 0:
        first[1] = True
    if len(counts) > 1 and counts[-1] == 0:
        first[-1] = True
    return np.flatnonzero(first).astype(np.int64)


def layout_of(sample: Floats, integer: bool, groups: int, bins: int) -> NumericLayout:
    """Return how a column is counted, from a `sample` (n,) of its reference."""
    grid = fit_grid(sample)
    counts, _ = grid.count(sample)
    starts = group_starts(counts, groups)
    coarse = np.add.reduceat(counts, starts)
    return NumericLayout(grid, starts, group_starts(coarse, bins), 0 if integer else decimals_of(sample))
