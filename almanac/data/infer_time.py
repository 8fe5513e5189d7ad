"""Inference of a table's time column and of its format.

Dates with the day or the month first are read only where a single order fits all of them: a guess would move rows by
months, and a join to them could look ahead.
"""

from pathlib import Path

import polars as pl

from almanac.core.errors import TableError
from almanac.core.levels import some
from almanac.data.dates import DAY_OR_MONTH_FIRST, ISO, readings
from almanac.data.notations import is_number, notation_of
from almanac.data.time_forms import read_times


def time_column(raw: pl.DataFrame, name: str | None, form: str | None, path: Path) -> tuple[str, str | None]:
    """Return the time column and its format, None for ISO 8601.

    Args:
        raw: The table as read.
        name: The column if it is known.
        form: The format if it is known.
        path: Path of the table, for errors.

    Raises:
        TableError: no column or several ones may be the time, a date has two readings, or none by the given format.
    """
    if form is not None:
        return _of_form(raw, name, form, path), form
    if name is not None:
        return name, None if is_time(raw[name]) else _date_format(raw[name], path)
    iso = [column.name for column in raw if is_time(column)]
    if not iso:
        return _of_other_form(raw, path)
    # Next to hours, a column of their days repeats its values.
    distinct = {name: raw[name].n_unique() for name in iso}
    best = [name for name in iso if distinct[name] == max(distinct.values())]
    if len(best) > 1:
        raise TableError(f"{path}: the columns {', '.join(best)} may each be the time; name one by --time")
    return best[0], None


def _of_form(raw: pl.DataFrame, name: str | None, form: str, path: Path) -> str:
    """Return the only column that a given format reads."""
    fitting = []
    for column in raw if name is None else [raw[name]]:
        if column.dtype == pl.String or column.dtype.is_integer():
            texts = column.cast(pl.String).str.strip_chars()
            try:
                times = read_times(texts, form)
            except pl.exceptions.PolarsError as error:
                raise TableError(f"--time-format {form}: is no format: {str(error).splitlines()[0]}") from None
            if not times.null_count():
                fitting.append(column.name)
            elif name is not None:
                row = int(times.is_null().arg_max() or 0)
                raise TableError(f"{path}: row {row + 1} of column {name!r}, {texts[row]!r}, is not of the form {form}")
    if len(fitting) == 1:
        return fitting[0]
    found = f"{', '.join(fitting)} may each be the time" if fitting else f"none; there is {some(raw.columns)}"
    raise TableError(f"{path}: --time-format {form} reads {found}; name the column by --time")


def _of_other_form(raw: pl.DataFrame, path: Path) -> tuple[str, str]:
    """Return the only column of times that are not as ISO 8601 writes them, and its format."""
    forms = {column.name: form for column in raw if (form := notation_of(column)) is not None}
    dates = [column.name for column in raw if _looks_like_date(column)]
    # A number may be something else beside a column of dates.
    texts = [*(name for name, form in forms.items() if not is_number(form)), *dates]
    names = texts or list(forms)
    if len(names) == 1:
        name = names[0]
        return name, forms[name] if name in forms else _date_format(raw[name], path)
    if names:
        raise TableError(f"{path}: the columns {', '.join(names)} may each be the time; name one by --time")
    raise TableError(
        f"{path}: no column holds times; name one by --time and its form by --time-format, such as "
        f"'%d.%m.%y %H:%M'; there is {some(raw.columns)}"
    )


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
    if (form := notation_of(column, named=True)) is not None:
        return form
    name = f"{path}: column {column.name!r}"
    texts = column.drop_nulls().str.strip_chars() if column.dtype == pl.String else column.head(0).cast(pl.String)
    match = DAY_OR_MONTH_FIRST.fullmatch(texts[0]) if texts.len() else None
    if match is None:
        odd = column if column.dtype != pl.String else texts.filter(~texts.str.contains(ISO))
        raise TableError(
            f"{name} is no time: {odd.head(1).to_list()}; expected ISO 8601, such as 2020-01-31T05:00, or its form "
            "by --time-format"
        )
    fitting = readings(texts)
    if len(fitting) == 1:
        return next(iter(fitting))
    if not fitting:
        raise TableError(f"{name}: {_odd_one(column)}; write them in one form, or leave the row out")
    (first, day_first), (second, month_first) = fitting.items()
    # The first date that the readings differ in, if there is one.
    row = next(iter((day_first != month_first).arg_true()), 0)
    raise TableError(
        f"{name} is ambiguous: {texts[row]!r} is {day_first[row].date()} with the day first and "
        f"{month_first[row].date()} with the month first; choose by --time-format {first!r} or {second!r}"
    )


def _odd_one(dates: pl.Series) -> str:
    """Return a sentence on the first date that differs in form from most of a column's others."""
    forms = dates.str.strip_chars().str.replace_all(r"\d+", "0")
    usual = forms.drop_nulls().mode().sort()[0]
    odd = (forms != usual).fill_null(True)
    if not odd.any():
        return f"its dates, such as {dates[0]!r}, have the day first in some rows and the month first in others"
    row, other = int(odd.arg_max() or 0), int((~odd).arg_max() or 0)
    return f"row {row + 1} {dates[row]!r} has not the form of the other dates, such as {dates[other]!r}"
