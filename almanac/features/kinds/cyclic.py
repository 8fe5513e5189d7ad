"""Phases of periods.

Both engines look sines up in tables and combine them by one product rule, so that no result depends on how a library
vectorises sin and cos.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from almanac.core.arrays import Array
from almanac.features.kind import Context, Duration, Feature, FeatureKind, Inputs, LaterDeclaration, Value, seconds
from almanac.features.local import PlacedClock, placed

Period = Literal["day", "week", "year"]

_DAY = 86_400
#: Length of each period in seconds; a year has 365.2425 days.
PERIODS: dict[Period, int] = {"day": _DAY, "week": 7 * _DAY, "year": 31_556_952}
#: Seconds from the epoch, a Thursday, to the first start of each period: midnight, Monday, 1 January.
STARTS: dict[Period, int] = {"day": 0, "week": 4 * _DAY, "year": 0}
#: Both tables of a year have some thousands of entries each, where one table would have 31 million.
_FINE_BITS = 13
_FINE = 1 << _FINE_BITS


class Cyclic(LaterDeclaration):
    """Sine and cosine of the phase in a period: `day_sin_1`, `year_cos_2`."""

    kind: Literal["cyclic"]
    periods: Annotated[list[Period], Field(min_length=1)]
    """Periods; a year has 365.2425 days."""
    harmonics: Annotated[int, Field(ge=1, le=8)] = 1
    """How many multiples of the base frequency."""
    ahead: Duration = "0h"
    """Of the time this long after the row's, known beforehand."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield sine and cosine of each harmonic of each period."""
        for period in self.periods:
            for harmonic in range(1, self.harmonics + 1):
                clock = placed(PhaseClock(period, harmonic, seconds(self.ahead)), context)
                for which, function in enumerate(("sin", "cos")):
                    name = self.named(f"{period}_{function}_{harmonic}", self.ahead)
                    yield Feature(name, _phase, (clock, which))


def _phase(inputs: Inputs, clock: "PhaseClock | PlacedClock", which: int) -> Value:
    return inputs.clock(clock, which)


@dataclass(frozen=True)
class PhaseClock:
    """Sine and cosine of a harmonic's phase, `ahead` seconds later."""

    period: Period
    harmonic: int
    ahead: int

    @property
    def cycle(self) -> int:
        """Seconds after which they repeat."""
        return PERIODS[self.period]

    @cached_property
    def _lists(self) -> tuple[list[float], ...]:
        return tuple(table.tolist() for table in _tables(self.cycle))

    def row(self, second: int) -> tuple[float, float]:
        """Return sine and cosine at one time."""
        at = (second + self.ahead - STARTS[self.period]) * self.harmonic % PERIODS[self.period]
        coarse_sin, coarse_cos, fine_sin, fine_cos = self._lists
        coarse, fine = at >> _FINE_BITS, at & (_FINE - 1)
        a, b, c, d = coarse_sin[coarse], coarse_cos[coarse], fine_sin[fine], fine_cos[fine]
        return a * d + b * c, b * d - a * c

    def rows(self, seconds: npt.NDArray[np.int64], which: Sequence[int]) -> list[Array]:
        """Return sine, cosine or both at ascending times."""
        at = _modulo((seconds + self.ahead - STARTS[self.period]) * self.harmonic, self.cycle)
        tables = _tables(self.cycle)
        a, b = (table.take(at >> _FINE_BITS) for table in tables[:2])
        c, d = (table.take(at & (_FINE - 1)) for table in tables[2:])
        # In the same order of operations as `row`, whose bits must be the same.
        both = a * d + b * c, b * d - a * c
        return [both[k] for k in which]


@lru_cache
def _tables(period: int) -> tuple[Array, Array, Array, Array]:
    """Return sine and cosine at every `_FINE` seconds of a period, and at every second below `_FINE`."""
    coarse = 2 * np.pi * (np.arange(0, period, _FINE) / period)
    fine = 2 * np.pi * (np.arange(_FINE) / period)
    return np.sin(coarse), np.cos(coarse), np.sin(fine), np.cos(fine)


def _modulo(values: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Return ascending values modulo a length, without a division each where they wrap around seldom."""
    turns = range(int(values[0] // length), int(values[-1] // length) + 1)
    if len(turns) > 8:
        return np.asarray(values % length)
    # In place, since the values are an intermediate result that `rows` alone holds.
    for turn, start in zip(turns, np.searchsorted(values, [turn * length for turn in turns]).tolist(), strict=True):
        values[start:] -= length if turn > turns[0] else turn * length
    return values


KIND = FeatureKind(Cyclic, [{"kind": "cyclic", "periods": ["day", "week", "year"], "harmonics": 3, "ahead": "1h"}])
