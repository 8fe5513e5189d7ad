"""Rows of a table that are none of its records: units below the header, and totals or notes at the end."""

import re

import polars as pl

from almanac.data.dates import ISO, are_dates
from almanac.data.notations import notation_of
from almanac.data.shapes.filter import Filter
from almanac.data.sql_text import identifier, literal

#: Most such rows at the top and at the end, and fewest rows between them.
_TOP, _END, _BETWEEN = 1, 3, 20


def without_margins(raw: pl.DataFrame) -> Filter | None:
    """Return the step that leaves out rows at both ends whose time is none, where all between have one; None without.

    Args:
        raw: Table of a text file or a sheet, as read.
    """
    if raw.height < _TOP + _BETWEEN + _END:
        return None
    for column in raw:
        if odd := _odd_rows(column):
            texts = sorted({text for row in odd if (text := column[row]) is not None})
            name, listed = identifier(column.name), ", ".join(map(literal, texts))
            # A missing value is in no list, and not outside of one either.
            return Filter(step="filter", where=f"{name} NOT IN ({listed})" if texts else f"{name} IS NOT NULL")
    return None


def _odd_rows(column: pl.Series) -> list[int]:
    """Return the rows at both ends of a column of times that hold none; nothing for any other column."""
    inner = column.slice(_TOP, column.len() - _TOP - _END)
    if not _are_times(inner):
        return []
    # The cells of a sheet are times already, or missing.
    forms = {_form(text) for text in inner.unique()} if inner.dtype == pl.String else set()
    ends = [*range(_TOP), *range(column.len() - _END, column.len())]
    odd = [row for row in ends if column[row] is None or (forms and _form(column[row]) not in forms)]
    below = [row for row in odd if row >= _TOP]
    # A total has no record after it.
    return odd if below == [*range(column.len() - len(below), column.len())] else []


def _are_times(column: pl.Series) -> bool:
    if column.null_count() or column.dtype != pl.String:
        return not column.null_count() and column.dtype in (pl.Date, pl.Datetime)
    texts = column.str.strip_chars()
    return bool(texts.str.contains(ISO).all()) or are_dates(texts) or notation_of(texts) is not None


def _form(text: str) -> str:
    """Return a text with one sign for each number and each word."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", text.strip()))
