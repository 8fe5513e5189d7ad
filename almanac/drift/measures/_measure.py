"""The definition of a measure of drift, and the tallies that it is computed from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from almanac.drift import statistics
from almanac.drift.counting.accumulators import HEAD, MISSING, ROWS, NumericLayout
from almanac.drift.counting.histogram import Floats

#: Widths of the normal distribution between its tenths.
_NORMAL_TENTHS = 2.563
_TENTH = 0.1


@dataclass(frozen=True)
class Pair:
    """The tallies of a column in a window and in the reference that it is compared with.

    Tallies are sums, so that those of blocks, seasons, partitions and workers merge by addition before any measure is
    computed.

    Attributes:
        reference: tally of the reference, in the window's mixture of seasons (w,).
        current: tally of the window (w,).
        run: longest constant run of the window, over its length in blocks where it is longer than one.
        layout: how numbers were counted; None for categories.
        spread: standard deviation of the whole reference, for where the season has none.
    """

    reference: Floats
    current: Floats
    run: float
    layout: NumericLayout | None = None
    spread: float = 0.0

    @property
    def before(self) -> Floats:
        """Counts of the reference's groups or categories."""
        return self.reference[len(HEAD) :]

    @property
    def now(self) -> Floats:
        """Counts of the window's groups or categories."""
        return self.current[len(HEAD) :]

    @cached_property
    def has_values(self) -> bool:
        """Whether both sides have a value that is not missing."""
        return bool(self.before.sum() > 0 and self.now.sum() > 0)

    @cached_property
    def bins(self) -> tuple[Floats, Floats]:
        """Counts of the bins of both sides and, as the last, of the missing values."""
        return self._binned(self.reference), self._binned(self.current)

    def _binned(self, tally: Floats) -> Floats:
        cells = tally[len(HEAD) :]
        return np.append(cells if self.layout is None else np.add.reduceat(cells, self.layout.bins), tally[MISSING])

    def rise(self, *heads: int) -> float:
        """Return how far the share of rows that are counted under some heads has risen."""
        return rate(self.current, *heads) - rate(self.reference, *heads)

    def shift(self, share: float) -> float | None:
        """Return how far a quantile of a number has moved, in spreads of the reference; None where it has none."""
        if not self.has_values or not self._width > 0 or not np.isfinite(self._width):
            return None
        return (self._quantile(self.now, share) - self._quantile(self.before, share)) / self._width

    @cached_property
    def _width(self) -> float:
        """A robust standard deviation of the reference's season."""
        tenths = self._quantile(self.before, 1 - _TENTH) - self._quantile(self.before, _TENTH)
        width = tenths / _NORMAL_TENTHS
        # Where nearly all values are one and the same, the season has no spread of its own.
        return width if width > self.spread / 10 else self.spread

    @cached_property
    def _edges(self) -> tuple[Floats, float]:
        assert self.layout is not None
        lower = self.layout.lower
        return lower, self.layout.high if np.isfinite(self.layout.high) else float(lower[-1])

    def _quantile(self, counts: Floats, share: float) -> float:
        return statistics.quantile(counts, *self._edges, share)


def rate(tally: Floats, *heads: int) -> float:
    """Return the share of a tally's rows that are counted under some heads; 0 without rows."""
    return float(tally[list(heads)].sum() / tally[ROWS]) if tally[ROWS] else 0.0


#: Computes a measure; None where it does not apply.
Formula = Callable[[Pair], float | None]


@dataclass(frozen=True)
class Measure:
    """A measure of drift: its formula, how it behaves while nothing drifts, and from where on it matters.

    Attributes:
        name: key in drift.json and in profiles.
        meaning: wording for people.
        order: position among the measures of a column.
        weight: its part of the chance of a false alarm; the parts of a column's measures are scaled to add up to one.
        floor: least standard deviation, on its scale, that is believed.
        minimum: effects below this never raise an alarm, however rare they are.
        both: whether a fall counts as much as a rise.
        shrinks: for distances, which are judged on the scale of their root: the power of the number of rows with which
            chance moves them, so that the threshold of a small window is wider. None for measures judged as they are.
        default: mean and standard deviation, on its scale, for a reference too short to be cut into blocks.
        numbers: formula for numbers; None where there is none.
        categories: formula for categories; None where there is none.
        sequential: whether it needs rows that follow each other in time, as the requests of a server do not.
    """

    name: str
    meaning: str
    order: int
    weight: float
    floor: float
    minimum: float
    both: bool = False
    shrinks: float | None = None
    default: tuple[float, float] = (0.0, 0.1)
    numbers: Formula | None = None
    categories: Formula | None = None
    sequential: bool = False

    def scaled(self, value: float) -> float:
        """Return a value on the scale on which it is judged: the root of a distance, anything else as it is."""
        return float(np.sqrt(value)) if self.shrinks is not None else value
