"""What follows from the time alone: calendar parts, and sine and cosine of the phase in a period.

Both engines look sines up in the tables made here and combine them by one product rule, so that their results do
not depend on how a library vectorises sin and cos.
"""

from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DAY = 86_400
#: Length of each period in seconds; a year has 365.2425 days.
PERIODS = {"day": DAY, "week": 7 * DAY, "year": 31_556_952}
#: Seconds from the epoch, a Thursday, to the first start of each period: midnight, Monday, 1 January.
STARTS = {"day": 0, "week": 4 * DAY, "year": 0}
FIELDS = ("hour", "weekday", "weekend", "month", "quarter", "day_of_month", "day_of_year", "week", "year")

FINE_BITS = 13
FINE = 1 << FINE_BITS
_EPOCH = date(1970, 1, 1).toordinal()


@lru_cache
def phase_tables(period: int) -> tuple[Array, Array, Array, Array]:
    """Return sine and cosine at every `FINE` seconds of a period, and at every second below `FINE`."""
    coarse = 2 * np.pi * (np.arange(0, period, FINE) / period)
    fine = 2 * np.pi * (np.arange(FINE) / period)
    return np.sin(coarse), np.cos(coarse), np.sin(fine), np.cos(fine)


def phase(seconds: Integers, period: str, harmonic: int) -> tuple[Array, Array]:
    """Return sine and cosine of the phase of each time (seconds since the epoch) in a period."""
    length = PERIODS[period]
    place = _modulo((seconds - STARTS[period]) * harmonic, length)
    coarse_sin, coarse_cos, fine_sin, fine_cos = phase_tables(length)
    coarse, fine = place >> FINE_BITS, place & (FINE - 1)
    a, b = coarse_sin.take(coarse), coarse_cos.take(coarse)
    c, d = fine_sin.take(fine), fine_cos.take(fine)
    return a * d + b * c, b * d - a * c


def _modulo(values: Integers, length: int) -> Integers:
    """Return ascending values modulo a length, without a division each where they wrap around seldom."""
    if not values.size:
        return values
    turns = range(int(values[0] // length), int(values[-1] // length) + 1)
    if len(turns) > 8:
        return np.asarray(values % length)
    for turn, start in zip(turns, np.searchsorted(values, [turn * length for turn in turns]).tolist(), strict=True):
        values[start:] -= length if turn > turns[0] else turn * length
    return values


@lru_cache(maxsize=4096)
def day_parts(day: int) -> tuple[float, ...]:
    """Return the parts of a day (number since the epoch) in the order of FIELDS; the hour is 0."""
    moment = date.fromordinal(_EPOCH + day)
    weekday = moment.weekday()
    parts = (
        0,
        weekday,
        weekday >= 5,
        moment.month,
        (moment.month + 2) // 3,
        moment.day,
        moment.timetuple().tm_yday,
        moment.isocalendar().week,
        moment.year,
    )
    return tuple(float(part) for part in parts)


def calendar(seconds: Integers, field: str) -> Array:
    """Return a part of the calendar of each time (seconds since the epoch, ascending)."""
    days = seconds // DAY
    if field == "hour":
        return ((seconds - days * DAY) // 3600).astype(np.float64)
    if not days.size:
        return np.empty(0)
    first = int(days[0])
    place = FIELDS.index(field)
    table = np.array([day_parts(day)[place] for day in range(first, int(days[-1]) + 1)])
    return np.asarray(table[days - first])
