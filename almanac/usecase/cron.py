"""Cron expressions as Kubeflow takes them: six fields, seconds first, in UTC."""

import re
from datetime import UTC, datetime, timedelta

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
#: Name, smallest and largest value of each field, and the names that stand for values.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 6, _DAYS),
)
# A day of February 29 comes every eight years at the latest, around a year such as 2100.
_LONGEST_DAYS = 8 * 366
# robfig/cron, which Kubeflow schedules by, also reads a question mark, and has no 7 for Sunday.
_PART = re.compile(r"(?:[*?]|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>[1-9]\d*))?")


def wrong_cron(text: str) -> str:
    """Return the error of a cron expression, an empty string if it is valid."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"has {len(fields)} fields; it should have six, seconds first"
    for field, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if not _is_valid(part, low, high, names):
                values = f"*, or values from {low} to {high}, such as {low},{high} or */5"
                return f"has {field!r} as its {name}; it should be {values}"
    return ""


def next_time(cron: str, after: datetime) -> datetime | None:
    """Return the first time of a valid expression after a moment, None where no date has it, such as 30 February.

    As in robfig/cron, days of the month and of the week both hold where one of them is a star, and either holds where
    both name values.

    Args:
        cron: the expression.
        after: a moment with a zone.
    """
    second, minute, hour, day, month, weekday = map(_values, cron.split(), _FIELDS)
    either = not any(field[0] in "*?" for field in (cron.split()[3], cron.split()[5]))
    moment = after.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    first = moment.replace(hour=0, minute=0, second=0)
    for days in range(_LONGEST_DAYS):
        date = first + timedelta(days=days)
        found = (date.day in day, date.isoweekday() % 7 in weekday)
        if date.month not in month or not (any(found) if either else all(found)):
            continue
        for at in ((h, m, s) for h in sorted(hour) for m in sorted(minute) for s in sorted(second)):
            time = date.replace(hour=at[0], minute=at[1], second=at[2])
            if time >= moment:
                return time
    return None


def _values(text: str, field: tuple[str, int, int, tuple[str, ...]]) -> set[int]:
    _, low, high, names = field
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        assert match is not None
        step = int(match["step"] or 1)
        if match["low"] is None:
            start, stop = low, high
        else:
            start = _value(match["low"], low, names)
            # Of 5/15, the fifteenths from the fifth on; of 5 alone, the fifth.
            stop = _value(match["high"], low, names) if match["high"] else high if match["step"] else start
        found |= set(range(start, stop + 1, step))
    return found


def _is_valid(part: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    ends = [_value(match[end], low, names) for end in ("low", "high") if match[end]]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def _value(text: str, low: int, names: tuple[str, ...]) -> int:
    if text.upper() in names:
        return low + names.index(text.upper())
    # Below the smallest value of every field, so that it is refused.
    return int(text) if text.isdecimal() else -1
