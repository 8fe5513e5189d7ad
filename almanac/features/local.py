"""Clocks that count local time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
#: Clocks change at whole quarters of an hour.
_QUARTER = 900


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


def in_zone(clock: Any, zone: str | None) -> Any:
    """Return a clock that counts the local time of a zone; the same clock for UTC, which is None."""
    return clock if zone is None else LocalClock(clock, zone)


@lru_cache(maxsize=100_000)
def _offset(quarter: int, zone: str) -> int:
    """Return the seconds that a zone's clocks are ahead of UTC."""
    offset = datetime.fromtimestamp(quarter * _QUARTER, ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
