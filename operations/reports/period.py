"""The period of a report: a calendar month, or a week from Monday to Sunday, in a stated time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from almanac.core.errors import ReportError

Kind = Literal["weekly", "monthly"]
#: Kinds of periods.
KINDS: tuple[Kind, ...] = ("weekly", "monthly")
_FORMS = {"monthly": (r"(\d{4})-(\d\d)", "2026-10"), "weekly": (r"(\d{4})-W(\d\d)", "2026-W44")}


@dataclass(frozen=True)
class Period:
    """A period.

    Attributes:
        kind: weekly or monthly.
        name: such as 2026-10 or 2026-W44, the week of ISO 8601.
        zone: IANA name of the zone whose midnights begin and end it.
        start: its begin, with the zone.
        stop: its end, which is no part of it.
    """

    kind: Kind
    name: str
    zone: str
    start: datetime
    stop: datetime

    @property
    def title(self) -> str:
        """Its name for people, such as October 2026."""
        if self.kind == "monthly":
            return f"{self.start:%B %Y}"
        last = self.stop - timedelta(days=1)
        return f"week {self.start:%V of %G}, {self.start.day} {self.start:%B} to {last.day} {last:%B %Y}"

    @property
    def span(self) -> tuple[str, str]:
        """Begin and end in UTC, as the history's times begin."""
        start, stop = (each.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") for each in (self.start, self.stop))
        return start, stop

    @property
    def stated(self) -> str:
        """Begin, end and zone as a sentence."""
        last = self.stop - timedelta(days=1)
        return f"From {self.start:%Y-%m-%d} 00:00 to the end of {last:%Y-%m-%d}, {self.zone}"

    def local(self, time: str) -> str:
        """Return a time of the wall clock, in ISO 8601 with an offset, to the minute in the period's zone."""
        return f"{datetime.fromisoformat(time).astimezone(ZoneInfo(self.zone)):%Y-%m-%d %H:%M}"


def period_named(kind: Kind, name: str, zone: str) -> Period:
    """Return the period of a name.

    Raises:
        ReportError: a name of another form, or of no month or week.
    """
    pattern, example = _FORMS[kind]
    found = re.fullmatch(pattern, name, re.ASCII)
    try:
        if found is None:
            raise ValueError
        year, part = int(found[1]), int(found[2])
        return _period(
            kind, datetime(year, part, 1) if kind == "monthly" else datetime.fromisocalendar(year, part, 1), zone
        )
    except (ValueError, OverflowError):
        noun = "month" if kind == "monthly" else "week"
        raise ReportError(f"--period {name}: not a {noun}; write one such as {example}") from None


def last_period(kind: Kind, now: datetime, zone: str) -> Period:
    """Return the last period that was over at a moment."""
    today = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    if kind == "monthly":
        return _period(kind, (today.replace(day=1) - timedelta(days=1)).replace(day=1), zone)
    return _period(kind, today - timedelta(days=today.weekday() + 7), zone)


def _period(kind: Kind, first: datetime, zone: str) -> Period:
    name = f"{first:%Y-%m}" if kind == "monthly" else f"{first:%G-W%V}"
    after = (first + timedelta(days=32)).replace(day=1) if kind == "monthly" else first + timedelta(days=7)
    # Midnights of the zone: a month with a change of the clocks is an hour longer or shorter.
    start, stop = (each.replace(tzinfo=ZoneInfo(zone)) for each in (first, after))
    return Period(kind, name, zone, start, stop)
