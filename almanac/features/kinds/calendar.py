"""Parts of the calendar."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from almanac.features.kind import Context, Duration, Feature, FeatureKind, Inputs, LaterDeclaration, Value, seconds
from almanac.features.local import PlacedClock, placed

Part = Literal["hour", "weekday", "weekend", "month", "quarter", "day_of_month", "day_of_year", "week", "year"]

_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
#: Parts in the order of a clock's numbers, by the seconds after which they repeat.
_PARTS: dict[int | None, tuple[str, ...]] = {
    _DAY: ("hour",),
    7 * _DAY: ("weekday", "weekend"),
    None: ("month", "quarter", "day_of_month", "day_of_year", "week", "year"),
}


class Calendar(LaterDeclaration):
    """Parts of the calendar, as numbers: `hour`, `weekday`; in local time where the use case has a zone."""

    kind: Literal["calendar"]
    fields: Annotated[list[Part], Field(min_length=1)]
    """Parts; Monday is 0."""
    ahead: Duration = "0h"
    """Of the time this long after the row's, known beforehand."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each part."""
        for field in self.fields:
            # Parts are clocks by their cycle, so that what repeats is computed for one cycle.
            cycle = next(cycle for cycle, parts in _PARTS.items() if field in parts)
            clock = placed(CalendarClock(cycle, seconds(self.ahead)), context)
            yield Feature(self.named(field, self.ahead), _part, (clock, _PARTS[cycle].index(field)))


def _part(inputs: Inputs, clock: "CalendarClock | PlacedClock", which: int) -> Value:
    return inputs.clock(clock, which)


@dataclass(frozen=True)
class CalendarClock:
    """The parts of the calendar that repeat after so many seconds, `ahead` seconds later."""

    cycle: int | None
    ahead: int

    def row(self, second: int) -> tuple[float, ...]:
        """Return the parts at one time."""
        day, rest = divmod(second + self.ahead, _DAY)
        return (float(rest // 3600),) if self.cycle == _DAY else _parts(day, self.cycle)

    def rows(self, seconds: npt.NDArray[np.int64], which: Sequence[int]) -> list[npt.NDArray[np.float64]]:
        """Return some of the parts at ascending times."""
        days, rest = np.divmod(seconds + self.ahead, _DAY)
        if self.cycle == _DAY:
            return [(rest // 3600).astype(np.float64)]
        table = np.array([_parts(day, self.cycle) for day in range(int(days[0]), int(days[-1]) + 1)])
        return [table[days - days[0], part] for part in which]


@lru_cache(maxsize=4096)
def _parts(day: int, cycle: int | None) -> tuple[float, ...]:
    """Return the parts of a day (number since the epoch) that repeat every week, or those that do not."""
    moment = date.fromordinal(_EPOCH + day)
    weekday = moment.weekday()
    if cycle is not None:
        return float(weekday), float(weekday >= 5)
    parts = moment.month, (moment.month + 2) // 3, moment.day, moment.timetuple().tm_yday, moment.isocalendar().week
    return (*map(float, parts), float(moment.year))


KIND = FeatureKind(
    Calendar,
    [
        {"kind": "calendar", "ahead": "3h", "fields": ["hour", "weekday", "weekend", "month", "quarter"]},
        {"kind": "calendar", "fields": ["day_of_month", "day_of_year", "week", "year"]},
    ],
)
