"""Forms in which dates are written, and the readings that they have."""

import re

import polars as pl

from almanac.data.notations import notation_of

#: A date or a time as ISO 8601 writes it; the T may be a space.
ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}(:?\d{2})?)?)?$"
DAY_OR_MONTH_FIRST = re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{4}( \d{1,2}:\d{2})?(:\d{2})?")


def are_dates(texts: pl.Series) -> bool:
    """Return whether all of some stripped texts are dates with the day or the month first."""
    return all(DAY_OR_MONTH_FIRST.fullmatch(text) for text in texts.unique())


def readings(texts: pl.Series) -> dict[str, pl.Series]:
    """Return the formats that read every one of these dates with the day or the month first, and their readings.

    Empty where the first text is no such date.
    """
    match = DAY_OR_MONTH_FIRST.fullmatch(texts[0]) if texts.len() else None
    if match is None:
        return {}
    separator, clock = match[1], "".join(code for part, code in ((match[2], " %H:%M"), (match[3], ":%S")) if part)
    forms = [f"{order.replace(' ', separator)}{clock}" for order in ("%d %m %Y", "%m %d %Y")]
    # The parser needs a time, which a date has not.
    read = {form: texts.str.to_datetime(form, strict=False, time_unit="us") for form in forms}
    return {form: times for form, times in read.items() if not times.null_count()}


def explain(texts: pl.Series) -> str:
    """Explain why dates without a format are refused: the readings of an ambiguous one, or the format that fits all.

    Args:
        texts: Non-empty column of stripped texts, some of which are not as ISO 8601 writes them.
    """
    row = int((~texts.str.contains(ISO)).arg_max() or 0)
    shown = f"row {row + 1} {texts[row]!r}"
    fitting = readings(texts.drop_nulls())
    if len(fitting) == 2:
        (first, day_first), (second, month_first) = fitting.items()
        at = next(iter((day_first != month_first).arg_true()), 0)
        return (
            f"row {at + 1} {texts.drop_nulls()[at]!r} is ambiguous: {day_first[at].date()} with the format {first!r}, "
            f"{month_first[at].date()} with {second!r}; write the right one in read.time.format"
        )
    form = next(iter(fitting), None) or notation_of(texts, named=True)
    if form is not None:
        return f"{shown} is no ISO 8601 time; every row fits read.time.format {form!r}"
    return f"{shown} is no ISO 8601 time, such as 2020-01-31T05:00; give its form in read.time.format"
