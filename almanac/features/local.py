"""Clocks that count local time, or the days ahead that are open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from almanac.core.arrays import Array, Integers
from almanac.core.grid import Grid
from almanac.features.kind import Context

#: Clocks change at whole quarters of an hour.
_QUARTER = 900
#: µs of a second.
_SECOND = 1_000_000


class _AheadClock(Protocol):
    @property
    def ahead(self) -> int: ...

    def row(self, second: int) -> Sequence[float]: ...

    def rows(self, seconds: Integers, which: Sequence[int]) -> Sequence[Array]: ...


@dataclass(frozen=True)
class LocalClock:
    """The numbers of a clock at the local times of a zone, `ahead` of the clock included."""

    clock: _AheadClock
    zone: str

    @property
    def cycle(self) -> None:
        """None: the distance from UTC changes."""
        return None

    def row(self, second: int) -> Sequence[float]:
        """Return the numbers at one time."""
        return self.clock.row(second + _offset((second + self.clock.ahead) // _QUARTER, self.zone))

    def rows(self, seconds: Integers, which: Sequence[int]) -> list[Array]:
        """Return some of the numbers at ascending times."""
        quarters, place = np.unique((seconds + self.clock.ahead) // _QUARTER, return_inverse=True)
        offsets = np.array([_offset(quarter, self.zone) for quarter in quarters.tolist()], dtype=np.int64)
        # Local time goes back where summer time ends, and clocks take ascending times.
        local, back = np.unique(seconds + offsets[place], return_inverse=True)
        return [np.ascontiguousarray(values[back]) for values in self.clock.rows(local, which)]


@dataclass(frozen=True)
class OpenClock:
    """The numbers of a clock on open days, whose `ahead` counts none of the others."""

    clock: _AheadClock
    grid: Grid

    @property
    def cycle(self) -> None:
        """None: closed days are left out."""
        return None

    def row(self, second: int) -> Sequence[float]:
        """Return the numbers at one time."""
        ahead = self.clock.ahead
        return self.clock.row(self.grid.one_later(second * _SECOND, ahead * _SECOND) // _SECOND - ahead)

    def rows(self, seconds: Integers, which: Sequence[int]) -> Sequence[Array]:
        """Return some of the numbers at ascending times."""
        ahead = self.clock.ahead
        return self.clock.rows(self.grid.later(seconds * _SECOND, ahead * _SECOND) // _SECOND - ahead, which)


PlacedClock = LocalClock | OpenClock


def placed(clock: Any, context: Context) -> Any:
    """Return a clock that counts as a use case does: in the local time of its zone, and ahead in open days."""
    if context.grid is not None and context.grid.has_closed_days and clock.ahead:
        return OpenClock(clock, context.grid)
    return clock if context.zone is None else LocalClock(clock, context.zone)


@lru_cache(maxsize=100_000)
def _offset(quarter: int, zone: str) -> int:
    """Return the seconds that a zone's clocks are ahead of UTC."""
    offset = datetime.fromtimestamp(quarter * _QUARTER, ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
