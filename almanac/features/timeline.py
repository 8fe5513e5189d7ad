"""Calendar and cyclic features of the batch engine, once for every distinct time."""

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.features import calendar
from almanac.features import nodes as p
from almanac.features.table import Rows

Array = npt.NDArray[np.float64]

#: Times computed at once.
BLOCK = 8192
#: Parts of the calendar that repeat, and after which period.
_CLOCK_PERIODS = {"hour": "day", "weekday": "week", "weekend": "week"}

#: A part of the calendar, or sine and cosine of a harmonic: (field or period, harmonic or 0, seconds ahead).
Source = tuple[str, int, int]


class Timeline:
    """What follows from the time alone, over times of even steps.

    Args:
        nodes: the features wanted, with their positions.
        origin: first time in µs since the epoch.
        step: distance of two times in µs.
        length: how many times.

    Attributes:
        origin: as given.
        sources: what features are written from, each by a task of its own.
        rows: the features, a row each in the order given.
    """

    def __init__(self, nodes: list[tuple[int, p.Node]], origin: int, step: int, length: int) -> None:
        self._row = {k: row for row, (k, _) in enumerate(nodes)}
        self._step = step
        self.origin = origin
        self.rows = Rows(np.empty((len(nodes), length)))
        self._targets: dict[Source, list[tuple[int, int]]] = {}
        for row, (_, node) in enumerate(nodes):
            if isinstance(node, p.Clock):
                self._targets.setdefault((node.field, 0, node.ahead), []).append((0, row))
            elif isinstance(node, p.Phase):
                target = int(node.cosine), row
                self._targets.setdefault((node.period, node.harmonic, node.ahead), []).append(target)
        self.sources = list(self._targets)

    def column(self, k: int, start: int, length: int) -> pl.Series:
        """Return the feature `k` of so many times from the one numbered `start`; a view."""
        return self.rows.row(self._row[k], start, length)

    def write(self, source: Source) -> None:
        """Compute the features of a source."""
        name, harmonic, ahead = source
        cycle = self._cycle(name if harmonic else _CLOCK_PERIODS.get(name))
        for start in range(0, cycle, BLOCK):
            stop = min(start + BLOCK, cycle)
            seconds = (self.origin + np.arange(start, stop) * self._step) // p.SECOND + ahead
            made = calendar.phase(seconds, name, harmonic) if harmonic else (calendar.calendar(seconds, name),)
            for which, row in self._targets[source]:
                self.rows.values[row, start:stop] = made[which]
        for _, row in self._targets[source]:
            _repeat(self.rows.values[row], cycle)

    def _cycle(self, period: str | None) -> int:
        """Return after how many rows a period repeats, all rows where it does not repeat on the grid."""
        length: int = self.rows.values.shape[1]
        if period is None or calendar.PERIODS[period] * p.SECOND % self._step:
            return length
        return min(length, calendar.PERIODS[period] * p.SECOND // self._step)


def _repeat(values: Array, done: int) -> None:
    """Fill the values with their first `done` ones, over and over."""
    while 0 < done < len(values):
        more = min(done, len(values) - done)
        values[done : done + more] = values[:more]
        done += more
