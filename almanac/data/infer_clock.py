"""Inference of a time that is written in two columns: a date, and a clock time or an hour."""

import re

import polars as pl

from almanac.data.dates import are_dates
from almanac.data.infer_time import is_time
from almanac.data.notations import notation_of
from almanac.data.shapes.derive import Derive
from almanac.data.sql_text import identifier

_CLOCK = r"^\d{1,2}:\d{2}(:\d{2})?$"
#: Names of columns whose numbers are hours.
_HOURS = frozenset({"hour", "hours", "hr", "stunde", "heure", "hora", "ora"})


def clock_of(raw: pl.DataFrame) -> tuple[Derive, list[str]] | None:
    """Return the step that joins the only date of a table to its only clock time, and their columns; None without.

    The hours of a column go from 0 to 23. From 1 to 24 they could name the beginning or the end of each.
    """
    dates = [column.name for column in raw if _is_date(column)]
    clocks = {column.name: suffix for column in raw if (suffix := _clock_suffix(column)) is not None}
    if len(dates) != 1 or len(clocks) != 1:
        return None
    date, (clock, suffix) = dates[0], next(iter(clocks.items()))
    if raw.select(date, clock).n_unique() == raw[date].n_unique():
        return None
    name = next(name for name in ("time", "date_time", "date_time_2") if name not in raw.columns)
    parts = f"{identifier(date)} || ' ' || {identifier(clock)}"
    return Derive(step="derive", columns={name: f"{parts} || '{suffix}'" if suffix else parts}), [date, clock]


def _is_date(column: pl.Series) -> bool:
    """Return whether a column holds dates without a clock time, and no months or years."""
    if column.dtype != pl.String or column.null_count() or column.str.contains(":", literal=True).any():
        return False
    texts = column.str.strip_chars()
    form = notation_of(texts)
    return is_time(texts) or (form is not None and "%d" in form) or are_dates(texts)


def _clock_suffix(column: pl.Series) -> str | None:
    """Return the suffix that makes clock times of a column's texts; None for a column of anything else."""
    if column.dtype != pl.String or column.null_count():
        return None
    if column.str.contains(_CLOCK).all():
        return ""
    named = not _HOURS.isdisjoint(re.split(r"[^a-z]+", column.name.lower()))
    return ":00" if named and column.str.contains(r"^([01]?\d|2[0-3])$").all() else None
