"""The calendar of a grid: the days that have steps."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from almanac.usecase.types import Date, Section

if TYPE_CHECKING:
    from almanac.core.grid import OpenDays

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

#: Monday to Friday.
WEEKDAYS = "weekdays"
#: Weekdays in order.
WEEKDAY_NAMES: tuple[Weekday, ...] = get_args(Weekday)
#: Years whose holidays are known.
_YEARS = range(1950, 2061)


class OpenCalendar(Section):
    """The open days of a country, an exchange or a week; only they have steps, and no row is missing on others."""

    weekdays: Annotated[list[Weekday], Field(min_length=1)] | None = None
    """Weekdays that are open, such as [mon, tue, wed, thu, fri, sat]; those of the country or the exchange, or Monday
    to Friday, when absent."""
    country: str | None = None
    """ISO 3166 code of a country whose holidays are closed, such as DE."""
    subdivision: str | None = None
    """Part of the country, such as BY."""
    exchange: str | None = None
    """Or the code of an exchange (ISO 10383), such as XNYS, whose holidays are closed."""
    closed: list[Date] = []
    """Further days that are closed."""
    open: list[Date] = []
    """Days that are open although their weekday or a holiday says otherwise."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.country is not None and self.exchange is not None:
            raise ValueError("give either 'country' or 'exchange'")
        if self.subdivision is not None and self.country is None:
            raise ValueError("'subdivision' belongs to 'country'")
        if both := sorted({*self.closed} & {*self.open}):
            raise ValueError(f"{both[0]} is both closed and open")
        # Here, so that a code which the library does not know is an error of the file.
        self.days()
        return self

    def days(self) -> "OpenDays":
        """Return the open days."""
        weekdays = None if self.weekdays is None else tuple(sorted(map(WEEKDAY_NAMES.index, self.weekdays)))
        return _days(
            weekdays, self.country, self.subdivision, self.exchange, frozenset(self.closed), frozenset(self.open)
        )

    @property
    def name(self) -> str:
        """The calendar in words, such as `XNYS` or `Monday to Friday`."""
        place = self.exchange or "-".join(filter(None, (self.country, self.subdivision)))
        if self.weekdays is None or (not place and self.weekdays == list(WEEKDAY_NAMES[:5])):
            return place or "Monday to Friday"
        return ", ".join([*([place] if place else []), *self.weekdays])


def _read(value: Any) -> Any:
    if isinstance(value, str):
        if value != WEEKDAYS:
            raise ValueError(f"{value!r} is no calendar; write {WEEKDAYS}, or a mapping such as {{exchange: XNYS}}")
        return {"weekdays": list(WEEKDAY_NAMES[:5])}
    return value


#: A calendar; the text `weekdays` stands for Monday to Friday.
CalendarField = Annotated[
    OpenCalendar | None, BeforeValidator(_read, json_schema_input_type=Literal["weekdays"] | OpenCalendar | None)
]


@lru_cache(maxsize=64)
def _days(
    weekdays: tuple[int, ...] | None,
    country: str | None,
    subdivision: str | None,
    exchange: str | None,
    closed: frozenset[date],
    opened: frozenset[date],
) -> "OpenDays":
    from almanac.core.grid import OpenDays, day_number

    holidays = _holidays(country, subdivision, exchange)
    weekend = {5, 6} if holidays is None else holidays.weekend
    usual = weekdays or tuple(day for day in range(7) if day not in weekend)

    def is_open(day: date) -> bool:
        if day in closed or day in opened:
            return day in opened
        if holidays is None:
            return day.weekday() in usual
        if weekdays is None:
            # Of some countries a few days at the weekend make up for holidays.
            return bool(holidays.is_working_day(day))
        return day.weekday() in usual and day not in holidays

    asked = {*closed, *opened, *([] if holidays is None else _dates())}
    return OpenDays(usual, tuple(sorted(day_number(day) for day in asked if is_open(day) != (day.weekday() in usual))))


def _dates() -> Sequence[date]:
    first = date(_YEARS[0], 1, 1)
    return [first + timedelta(days=number) for number in range((date(_YEARS[-1] + 1, 1, 1) - first).days)]


def _holidays(country: str | None, subdivision: str | None, exchange: str | None) -> Any:
    """Return the holidays of a country or an exchange by the library `holidays`; None without either."""
    if country is None and exchange is None:
        return None
    import holidays

    try:
        if exchange is not None:
            return holidays.financial_holidays(exchange, years=_YEARS)
        return holidays.country_holidays(str(country), subdiv=subdivision, years=_YEARS)
    except NotImplementedError as error:
        raise ValueError(f"the library holidays knows no such calendar: {error}") from None
