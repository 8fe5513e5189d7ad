"""Cron expressions as Kubeflow takes them: six fields, seconds first."""

import re

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
