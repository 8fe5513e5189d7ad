"""Clocks of the batch engine, computed once for every distinct time."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from almanac.core.arrays import Array
from almanac.core.grid import Grid
from almanac.features.compiler.tracing import Clock, ClockInput
from almanac.features.table import Rows

#: Times computed at once.
_BLOCK = 8192


class Timeline:
    """Clocks over times of even steps.

    Args:
        inputs: numbers of clocks.
        origin: first time on the even axis of the grid, in µs.
        grid: the grid.
        length: how many times.

    Attributes:
        origin: as given.
        clocks: the clocks of the inputs, each of which is written by a task of its own.
        rows: the inputs, a row each in the order given.
    """

    def __init__(self, inputs: Sequence[ClockInput], origin: int, grid: Grid, length: int) -> None:
        self._row = {one: row for row, one in enumerate(inputs)}
        self._grid = grid
        self.origin = origin
        self.rows = Rows(np.empty((len(inputs), length)))
        self.clocks = list(dict.fromkeys(one.clock for one in inputs))

    def column(self, one: ClockInput, start: int, length: int) -> pl.Series:
        """Return an input at so many times from the one numbered `start`; a view."""
        return self.rows.row(self._row[one], start, length)

    def write(self, clock: Clock) -> None:
        """Compute the inputs of a clock."""
        rows = {one.which: self.rows.values[row] for one, row in self._row.items() if one.clock == clock}
        # Hours of the day are computed for one day, then copied.
        cycle = self._cycle(clock)
        for start in range(0, cycle, _BLOCK):
            stop = min(start + _BLOCK, cycle)
            even = self.origin + np.arange(start, stop) * self._grid.step
            seconds = self._grid.from_even(even) // 1_000_000
            for row, values in zip(rows.values(), clock.rows(seconds, list(rows)), strict=True):
                row[start:stop] = values
        for row in rows.values():
            _repeat(row, cycle)

    def _cycle(self, clock: Clock) -> int:
        """Return after how many rows a clock repeats, all rows where it does not repeat on the grid."""
        length: int = self.rows.values.shape[1]
        step = self._grid.step
        if clock.cycle is None or clock.cycle * 1_000_000 % step or self._grid.has_closed_days:
            return length
        return min(length, clock.cycle * 1_000_000 // step)


def _repeat(values: Array, done: int) -> None:
    """Fill the values with their first `done` ones, over and over."""
    # Each copy doubles what is filled, instead of one copy for each period.
    while 0 < done < len(values):
        more = min(done, len(values) - done)
        values[done : done + more] = values[:more]
        done += more
