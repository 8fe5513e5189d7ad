"""Holidays and business days of a country or an exchange."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from almanac.core.errors import FeatureError
from almanac.features.kind import Context, Duration, Feature, FeatureKind, Inputs, LaterDeclaration, Value, seconds
from almanac.features.local import PlacedClock, placed

Part = Literal["holiday", "business_day", "days_until", "days_since"]

_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_PARTS: tuple[Part, ...] = ("holiday", "business_day", "days_until", "days_since")
#: Years whose holidays a model keeps; outside of them the features are missing.
_YEARS = range(1990, 2051)


class Holiday(LaterDeclaration):
    """Holidays by the library `holidays`: `de_holiday`, `nyse_business_day`, `de_days_until`."""

    kind: Literal["holiday"]
    country: str | None = None
    """ISO 3166 code, such as DE."""
    subdivision: str | None = None
    """Part of the country, such as BY."""
    exchange: str | None = None
    """Or the code of an exchange (ISO 10383) or of its calendar, such as NYSE or ECB."""
    fields: Annotated[list[Part], Field(min_length=1)] = ["holiday"]
    """Whether the day is a holiday or neither holiday nor weekend, and the days until the next and since the last
    holiday, 0 on one, at most 60."""
    ahead: Duration = "0h"
    """Of the day this long after the row's, known beforehand."""

    @model_validator(mode="after")
    def _one_calendar(self) -> Self:
        if (self.country is None) == (self.exchange is None):
            raise ValueError("give either 'country' or 'exchange'")
        if self.subdivision is not None and self.country is None:
            raise ValueError("'subdivision' belongs to 'country'")
        return self

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each part, in local time where the use case has a zone."""
        days = tuple(context.learned or ())
        clock = placed(HolidayClock(days, seconds(self.ahead)), context)
        for field in self.fields:
            place = "_".join(part.lower() for part in (self.country or self.exchange, self.subdivision) if part)
            yield Feature(self.named(f"{place}_{field}", self.ahead), _part, (clock, _PARTS.index(field)))

    def learn(self, training: Callable[[str], npt.NDArray[np.float64]]) -> Any:
        """Return the holidays as days since 1970: a model needs no library, whose next version may have others."""
        return _days(self.country, self.subdivision, self.exchange)


def _days(country: str | None, subdivision: str | None, exchange: str | None) -> list[int]:
    import holidays

    try:
        if exchange is not None:
            found: Any = holidays.financial_holidays(exchange, years=_YEARS)
        else:
            found = holidays.country_holidays(str(country), subdiv=subdivision, years=_YEARS)
    except NotImplementedError as error:
        raise FeatureError(f"features.items (holiday): the library holidays knows no such calendar: {error}") from None
    return sorted(day.toordinal() - _EPOCH for day in found)


def _part(inputs: Inputs, clock: "HolidayClock | PlacedClock", which: int) -> Value:
    return inputs.clock(clock, which)


@dataclass(frozen=True)
class HolidayClock:
    """The parts of a calendar of holidays, `ahead` seconds later.

    Attributes:
        days: holidays as days since 1970, ascending.
        ahead: seconds.
    """

    days: tuple[int, ...]
    ahead: int

    @property
    def cycle(self) -> None:
        """None: holidays move."""
        return None

    def row(self, second: int) -> Sequence[float]:
        """Return the parts at one time."""
        return self._parts((second + self.ahead) // _DAY)

    def rows(self, seconds: npt.NDArray[np.int64], which: Sequence[int]) -> list[npt.NDArray[np.float64]]:
        """Return some of the parts at ascending times."""
        days = (seconds + self.ahead) // _DAY
        table = np.array([self._parts(day) for day in range(int(days[0]), int(days[-1]) + 1)])
        return [np.ascontiguousarray(table[days - days[0], part]) for part in which]

    def _parts(self, day: int) -> tuple[float, ...]:
        if not self.days or not self.days[0] <= day <= self.days[-1]:
            return (float("nan"),) * len(_PARTS)
        after, before = bisect_left(self.days, day), bisect_right(self.days, day) - 1
        holiday = self.days[after] == day
        # 1970-01-01 was a Thursday.
        weekend = (day + 3) % 7 >= 5
        until, since = min(self.days[after] - day, 60), min(day - self.days[before], 60)
        return float(holiday), float(not holiday and not weekend), float(until), float(since)


KIND = FeatureKind(
    Holiday,
    [
        {"kind": "holiday", "country": "DE", "subdivision": "BY", "fields": list(_PARTS), "ahead": "5h"},
        {"kind": "holiday", "exchange": "NYSE", "fields": ["business_day"]},
    ],
)
