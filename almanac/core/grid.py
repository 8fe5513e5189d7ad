"""The grid of a table: the times of its rows, and how many steps lie between two of them.

A grid may have steps on open days alone, such as those of an exchange: the step before a Monday is the Friday. All
arithmetic in steps then happens on an even axis, on which the open days follow each other without a gap; times stay
what they are everywhere else.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache

import numpy as np

from almanac.core.arrays import Integers, Mask

#: A day in µs.
DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
#: First and last day of every calendar, as days since 1970.
_FIRST, _LAST = date(1900, 1, 1).toordinal() - _EPOCH, date(2149, 12, 31).toordinal() - _EPOCH


def day_number(day: date) -> int:
    """Return a day as days since 1970."""
    return day.toordinal() - _EPOCH


def to_micros(moment: datetime) -> int:
    """Return a time in naive UTC as µs since 1970."""
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def to_moment(micros: int) -> datetime:
    """Return µs since 1970 as a time in naive UTC."""
    return datetime(1970, 1, 1) + timedelta(microseconds=micros)


@dataclass(frozen=True)
class OpenDays:
    """The days of a calendar that are open, from 1900 to 2149.

    Attributes:
        weekdays: numbers of the weekdays that are usually open, Monday being 0.
        changed: days since 1970, ascending, on which it is the other way around.
    """

    weekdays: tuple[int, ...]
    changed: tuple[int, ...] = ()

    @cached_property
    def numbers(self) -> Integers:
        """The open days as days since 1970, ascending."""
        days = np.arange(_FIRST, _LAST + 1)
        # 1970-01-01 was a Thursday.
        usual = np.isin((days + 3) % 7, self.weekdays)
        return np.asarray(days[usual ^ np.isin(days, self.changed)], dtype=np.int64)


@dataclass(frozen=True)
class Grid:
    """Times of even steps.

    Attributes:
        step: distance of two times in µs.
    """

    step: int

    @property
    def has_closed_days(self) -> bool:
        """Whether there are days without a step."""
        return False

    def to_even(self, times: Integers) -> Integers:
        """Return times, in µs since 1970, on the even axis; of a closed day the start of the next open one."""
        return times

    def from_even(self, even: Integers) -> Integers:
        """Return the times of places on the even axis."""
        return even

    def later(self, times: Integers, span: int) -> Integers:
        """Return the times that lie so many µs of steps later, or earlier where it is negative."""
        return self.from_even(self.to_even(times) + span)

    def one_later(self, time: int, span: int) -> int:
        """Return the time that lies so many µs of steps after one time."""
        return time + span

    def is_open(self, times: Integers) -> Mask:
        """Return which times lie on an open day."""
        return np.ones(times.shape, dtype=np.bool_)

    def longest(self, span: int) -> int:
        """Return the longest time in µs that so many µs of steps take."""
        return span

    def number(self, time: int) -> int:
        """Return the number of a time's step, or of the next one for a time between two."""
        return -(-time // self.step)

    def time(self, number: int) -> int:
        """Return the time of a step in µs since 1970."""
        return number * self.step

    def newest(self, time: int) -> int:
        """Return the number of the newest step at or before a time."""
        return time // self.step


@dataclass(frozen=True)
class OpenGrid(Grid):
    """Times on open days, one step a day.

    Attributes:
        days: the open days.
    """

    days: OpenDays

    @property
    def has_closed_days(self) -> bool:
        """Whether there are days without a step."""
        return True

    def to_even(self, times: Integers) -> Integers:
        """Return times, in µs since 1970, on the even axis; of a closed day the start of the next open one."""
        day, rest = np.divmod(times, DAY)
        place, is_open = self._places(day)
        return place * DAY + np.where(is_open, rest, 0)

    def from_even(self, even: Integers) -> Integers:
        """Return the times of places on the even axis; of places beyond its ends those of the first and last day."""
        day, rest = np.divmod(even, DAY)
        return np.take(self.days.numbers, day, mode="clip") * DAY + rest

    def one_later(self, time: int, span: int) -> int:
        """Return the time that lies so many µs of steps after one time."""
        day, rest = divmod(time, DAY)
        place = bisect_left(self._list, day)
        later, rest = divmod(place * DAY + rest * (self._day(place) == day) + span, DAY)
        return self._day(later) * DAY + rest

    def is_open(self, times: Integers) -> Mask:
        """Return which times lie on an open day."""
        return self._places(times // DAY)[1]

    def longest(self, span: int) -> int:
        """Return the longest time in µs that so many µs of steps take."""
        days, count = self.days.numbers, -(-span // DAY)
        return int((days[count:] - days[: len(days) - count]).max()) * DAY

    def number(self, time: int) -> int:
        """Return the number of a time's step, or of the next one for a time on a closed day or between two."""
        return bisect_left(self._list, -(-time // DAY))

    def time(self, number: int) -> int:
        """Return the time of a step in µs since 1970."""
        return self._day(number) * DAY

    def newest(self, time: int) -> int:
        """Return the number of the newest step at or before a time."""
        return bisect_left(self._list, time // DAY + 1) - 1

    @cached_property
    def _list(self) -> list[int]:
        # Of Python's numbers, in which one step is found faster than in an array.
        numbers: list[int] = self.days.numbers.tolist()
        return numbers

    def _day(self, place: int) -> int:
        return self._list[min(max(place, 0), len(self._list) - 1)]

    def _places(self, day: Integers) -> tuple[Integers, Mask]:
        """Return the place of each day, or of the next open one, among the open days, and which are open."""
        days = self.days.numbers
        place = np.asarray(np.searchsorted(days, day), dtype=np.int64)
        return place, np.asarray(np.take(days, place, mode="clip") == day)


@lru_cache(maxsize=64)
def grid_of(step: int, days: OpenDays | None = None) -> Grid:
    """Return the grid of a step in µs, whose days are the open ones if they are given."""
    return Grid(step) if days is None else OpenGrid(step, days)
