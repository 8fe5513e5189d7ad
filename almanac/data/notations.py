"""Notations of times that have a single reading without being ISO 8601, such as 2016-01, 2016 Q1 and 05-Jan-2022."""

import re
from datetime import datetime

import polars as pl

from almanac.data.time_forms import EPOCHS, read_times

_CLOCK = r"(?P<clock>[T ]\d{1,2}:\d{2}(?P<second>:\d{2})?)?"
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
#: Forms with the year first or the month by name, in which no day can be taken for a month.
_FORMS = tuple(
    (re.compile(pattern, re.IGNORECASE), form)
    for pattern, form in (
        (rf"\d{{4}}/\d{{1,2}}/\d{{1,2}}{_CLOCK}", "%Y/%m/%d"),
        (rf"\d{{4}}\.\d{{1,2}}\.\d{{1,2}}{_CLOCK}", "%Y.%m.%d"),
        (rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}{_CLOCK}", "%Y-%m-%d"),
        *((rf"\d{{1,2}}{mark}{_MONTH}{mark}\d{{4}}{_CLOCK}", f"%d{mark}%b{mark}%Y") for mark in ("-", " ", "/", "")),
        (rf"{_MONTH} \d{{1,2}}, \d{{4}}{_CLOCK}", "%b %d, %Y"),
        *((rf"{_MONTH}{mark}\d{{4}}", f"%b{mark}%Y") for mark in ("-", " ")),
        *((rf"\d{{4}}{mark}{_MONTH}", f"%Y{mark}%b") for mark in ("-", " ")),
        *((rf"\d{{4}}{mark}(0[1-9]|1[0-2])", f"%Y{mark}%m") for mark in ("-", "/", "M")),
        (r"(0[1-9]|1[0-2])/\d{4}", "%m/%Y"),
        *((rf"\d{{4}}{mark}Q[1-4]", f"%Y{mark}Q%q") for mark in ("-", " ", "")),
        *((rf"Q[1-4]{mark}\d{{4}}", f"Q%q{mark}%Y") for mark in ("-", " ", "/")),
        *((rf"\d{{4}}{mark}W\d{{2}}", f"%G{mark}W%V") for mark in ("-", " ", "")),
    )
)
#: Forms that are numbers too, by their digits.
_DIGITS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "epoch_s", 13: "epoch_ms", 16: "epoch_us"}
_EARLIEST, _LATEST = datetime(1700, 1, 1), datetime(2200, 1, 1)
#: Words of a column's name that say that its numbers are times.
_WORDS = frozenset(
    {
        *("time", "timestamp", "datetime", "date", "day", "month", "year", "week", "quarter", "period", "epoch"),
        *("unix", "ts", "dt", "datum", "zeit", "zeitpunkt", "zeitstempel", "tag", "monat", "jahr"),
        *("fecha", "mes", "ano", "data", "mese", "anno", "mois", "annee"),
    }
)


def notation_of(column: pl.Series, named: bool = False) -> str | None:
    """Return the only format that reads every value of a column; None where none does.

    Args:
        column: Texts or whole numbers.
        named: Whether a person names the column as the time; its own name can say so too.
    """
    if column.dtype != pl.String and not column.dtype.is_integer():
        return None
    texts = column.drop_nulls().cast(pl.String).str.strip_chars()
    if texts.is_empty():
        return None
    form = _form_of(texts[0], named or not _WORDS.isdisjoint(re.split(r"[^a-z]+", column.name.lower())))
    if form is None:
        return None
    times = read_times(texts, form)
    return form if not times.null_count() and times.is_between(_EARLIEST, _LATEST).all() else None


def _form_of(text: str, numbers: bool) -> str | None:
    """Return the form of a text; of a number only where numbers may be times."""
    if numbers and text.isdecimal():
        return _DIGITS.get(len(text))
    for pattern, form in _FORMS:
        if match := pattern.fullmatch(text):
            found = match.groupdict()
            if found.get("clock") is None:
                return form
            return f"{form}{found['clock'][0]}%H:%M" + (":%S" if found["second"] else "")
    return None


def is_number(form: str) -> bool:
    """Return whether times of a form are numbers, which other columns may hold too."""
    return form in EPOCHS or form in _DIGITS.values()
