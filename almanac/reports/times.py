"""Times as reports write them: dates of the calendar, or days since an origin where times have no calendar."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Self

from almanac.reports.axes import date_ticks, day_ticks
from almanac.usecase import UseCase


@dataclass(frozen=True)
class Times:
    """The way in which a report writes the times of a use case.

    Attributes:
        zone: IANA zone of the use case, None for UTC.
        origin: day that times are counted from; None where they are dates of the calendar.
        calendar: name of the calendar whose open days alone have steps; None where all days have.
    """

    zone: str | None = None
    origin: date | None = None
    calendar: str | None = None

    @classmethod
    def of(cls, usecase: UseCase) -> Self:
        """Return the way of a use case."""
        time = usecase.time
        return cls(time.zone, time.origin, None if time.calendar is None else time.calendar.name)

    @property
    def sentence(self) -> str:
        """Sentence on the zone of a report's times, or on their count."""
        if self.origin is not None:
            return "Times are days since the start of the count, and have no calendar."
        if self.calendar is not None:
            return f"Times are dates, and steps are counted in the open days of the calendar {self.calendar}."
        of_zone = "" if self.zone is None else f"; hours and days of the calendar are of {self.zone}"
        return f"Times are in UTC{of_zone}."

    def day(self, moment: str | date) -> str:
        """Return a day, or a moment in ISO 8601, as it is; or the number of its day since the origin, and its hour."""
        text = str(moment)
        if self.origin is None:
            return text
        day = f"day {(date.fromisoformat(text[:10]) - self.origin).days}"
        return f"{day}, {text[11:16]}" if len(text) > len("2026-01-31") else day

    def span(self, first: datetime, last: datetime) -> str:
        """Return a span of days in words."""
        if self.origin is None:
            return f"{first:%-d %B} to {last:%-d %B %Y}"
        return f"{self.day(first.date())} to {self.day(last.date())}"

    def ticks(self, axis: Any, most: int = 8) -> None:
        """Set ticks on a horizontal axis of time, at most so many; call it when everything is drawn."""
        if self.origin is None:
            date_ticks(axis, most)
        else:
            day_ticks(axis, self.origin, most)
