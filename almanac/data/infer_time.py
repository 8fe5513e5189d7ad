"""Inference of a table's time column and of its format.

Dates with the day or the month first are read only where a single order fits all of them: a guess would move rows by
months, and a join to them could look ahead.
"""

from pathlib import Path

import polars as pl

from almanac.core.errors import TableError
from almanac.data.dates import DAY_OR_MONTH_FIRST, ISO, readings


def time_column(raw: pl.DataFrame, name: str | None, path: Path) -> tuple[str, str | None]:
    """Return the time column and its format, None for ISO 8601.

    Args:
        raw: The table as read.
        name: The column if it is known.
        path: Path of the table, for errors.

    Raises:
        TableError: no column or several ones may be the time, or a date has two readings.
    """
    if name is not None:
        return name, None if is_time(raw[name]) else _date_format(raw[name], path)
    iso = [column.name for column in raw if is_time(column)]
    if not iso:
        dates = [column for column in raw if _looks_like_date(column)]
        if len(dates) == 1:
            return dates[0].name, _date_format(dates[0], path)
        names = ", ".join(raw.columns)
        raise TableError(f"{path}: no column holds times as ISO 8601 writes them; name one by --time; there is {names}")
    # Next to hours, a column of their days repeats its values.
    distinct = {name: raw[name].n_unique() for name in iso}
    best = [name for name in iso if distinct[name] == max(distinct.values())]
    if len(best) > 1:
        raise TableError(f"{path}: the columns {', '.join(best)} may each be the time; name one by --time")
    return best[0], None


def is_time(column: pl.Series) -> bool:
    """Return whether all values of a column are times, or texts as ISO 8601 writes them."""
    if column.dtype != pl.String:
        return column.dtype in (pl.Datetime, pl.Date)
    texts = column.drop_nulls().str.strip_chars()
    return not texts.is_empty() and bool(texts.str.contains(ISO).all())


def _looks_like_date(column: pl.Series) -> bool:
    if column.dtype != pl.String:
        return False
    texts = column.drop_nulls().head(1)
    return any(DAY_OR_MONTH_FIRST.fullmatch(text.strip()) for text in texts)


def _date_format(column: pl.Series, path: Path) -> str:
    """Return the only format that reads every date; two of them are refused with both readings."""
    name = f"{path}: column {column.name!r}"
    texts = column.drop_nulls().str.strip_chars() if column.dtype == pl.String else column.head(0).cast(pl.String)
    match = DAY_OR_MONTH_FIRST.fullmatch(texts[0]) if texts.len() else None
    if match is None:
        odd = column if column.dtype != pl.String else texts.filter(~texts.str.contains(ISO))
        raise TableError(f"{name} is no time: {odd.head(1).to_list()}; expected ISO 8601, such as 2020-01-31T05:00")
    fitting = readings(texts)
    if len(fitting) == 1:
        return next(iter(fitting))
    if not fitting:
        raise TableError(f"{name}: not all of its dates, such as {texts[0]!r}, have one form; write them as ISO 8601")
    day_first, month_first = fitting.values()
    # The first date that the readings differ in, if there is one.
    row = next(iter((day_first != month_first).arg_true()), 0)
    raise TableError(
        f"{name} is ambiguous: {texts[row]!r} is {day_first[row].date()} with the day first and "
        f"{month_first[row].date()} with the month first; write the dates as ISO 8601"
    )
