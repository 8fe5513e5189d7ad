"""The definition of a measure of drift, and the tallies that it is computed from."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from almanac.drift import statistics
from almanac.drift.counting.accumulators import HEAD, MISSING, ROWS, NumericLayout
from almanac.drift.counting.histogram import Floats

#: Widths of the normal distribution between its tenths.
_NORMAL_TENTHS = 2.563
_TENTH = 0.1


@dataclass(eq=False)
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
        before: counts of the reference's groups or categories.
        now: counts of the window's groups or categories.
        has_values: whether both sides have a value that is not missing.
    """

    reference: Floats
    current: Floats
    run: float
    layout: NumericLayout | None = None
    spread: float = 0.0
    before: Floats = field(init=False)
    now: Floats = field(init=False)
    has_values: bool = field(init=False)
    _ends: "_Ends | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        # Not cached properties, whose lock costs more than these lines: a pair is made for every column and block.
        self.before, self.now = self.reference[len(HEAD) :], self.current[len(HEAD) :]
        self.has_values = bool(self.before.sum() > 0 and self.now.sum() > 0)

    def bins(self) -> tuple[Floats, Floats]:
        """Return the counts of the bins of both sides and, as the last, of the missing values."""
        sides = (self.before, self.now)
        if self.layout is not None:
            sides = (np.add.reduceat(self.before, self.layout.bins), np.add.reduceat(self.now, self.layout.bins))
        return np.append(sides[0], self.reference[MISSING]), np.append(sides[1], self.current[MISSING])

    def rise(self, *heads: int) -> float:
        """Return how far the share of rows that are counted under some heads has risen."""
        return rate(self.current, *heads) - rate(self.reference, *heads)

    def shift(self, share: float) -> float | None:
        """Return how far a quantile of a number has moved, in spreads of the reference; None where it has none."""
        if not self.has_values or self.layout is None:
            return None
        if self._ends is None:
            self._ends = _Ends(self, self.layout)
        return self._ends.shift(share)


class _Ends:
    """The quantiles of both sides of a pair, cumulated once for both ends."""

    def __init__(self, pair: Pair, layout: NumericLayout) -> None:
        self._lower = layout.lower
        self._top = layout.high if np.isfinite(layout.high) else float(self._lower[-1])
        self._before, self._now = (pair.before, np.cumsum(pair.before)), (pair.now, np.cumsum(pair.now))
        tenths = self._quantile(self._before, 1 - _TENTH) - self._quantile(self._before, _TENTH)
        width = tenths / _NORMAL_TENTHS
        # Where nearly all values are one and the same, the season has no spread of its own.
        self._width = width if width > pair.spread / 10 else pair.spread

    def shift(self, share: float) -> float | None:
        if not self._width > 0 or not np.isfinite(self._width):
            return None
        return (self._quantile(self._now, share) - self._quantile(self._before, share)) / self._width

    def _quantile(self, side: tuple[Floats, Floats], share: float) -> float:
        return statistics.quantile(side[0], self._lower, self._top, share, side[1])


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
