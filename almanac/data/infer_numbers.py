"""Inference of how a table writes its numbers: decimal mark, mark of thousands, and signs such as $ or %."""

import re
from pathlib import Path
from typing import Any, Literal

import polars as pl

from almanac.core.errors import TableError
from almanac.data.numbers import without_signs

Decimal = Literal[".", ","]
#: Texts that mean a missing value where everything else in their column is a number.
MISSING = frozenset({"NA", "N/A", "n/a", "nan", "NaN", "NULL", "null", "None", "-", "?"})
_SIGNS = ("$", "€", "£", "¥", "₹", "%", "USD", "EUR", "GBP", "CHF")
#: Decimal mark and mark of thousands, in order of preference.
_MARKS: tuple[tuple[Decimal, str | None], ...] = (
    *((".", None), (",", None), (".", ","), (",", ".")),
    *((".", "'"), (".", " "), (",", " ")),
)


def marks_of(raw: pl.DataFrame, decimal: Decimal | None, path: Path) -> dict[str, Any]:
    """Return the fields of `read` on the marks of numbers and the signs around them, without those at their default.

    Args:
        raw: The table as read.
        decimal: The decimal mark if it is known.
        path: Path of the table, for errors.

    Raises:
        TableError: numbers such as 1,234 have two readings, and no column decides.
    """
    signs: set[str] = set()
    columns = []
    for column in raw:
        if column.dtype == pl.String:
            texts = column.drop_nulls().str.strip_chars()
            texts = texts.filter(~texts.is_in(list(MISSING)))
            found = _signs_of(texts)
            signs |= found
            columns.append(without_signs(texts, sorted(found)).alias(column.name))
    # Texts without a mark suit all of them.
    marked = [
        texts for texts in columns if texts.str.contains(r"^[+-]?\d").all() and texts.str.contains("[^0-9+-]").any()
    ]
    fitting = {
        marks: {texts.name for texts in marked if _fit(texts, *marks)}
        for marks in _MARKS
        if decimal in (None, marks[0])
    }
    best = max(fitting, key=lambda marks: len(fitting[marks]))
    if best == (",", None) and decimal is None and len(fitting[".", ","]) == len(fitting[best]):
        odd = next(texts for texts in marked if texts.str.contains(",").any())
        text = odd.filter(odd.str.contains(","))[0]
        whole, broken = text.replace(",", ""), text.replace(",", ".")
        raise TableError(
            f"{path}: column {odd.name!r} is ambiguous: {text!r} is {whole} with a comma between thousands, and "
            f"{broken} with a decimal comma; choose by --decimal . or --decimal ,"
        )
    if not fitting[best]:
        best = (decimal or ".", None)
    return {
        **({"decimal": best[0]} if best[0] != "." else {}),
        **({"thousands": best[1]} if best[1] is not None else {}),
        **({"signs": sorted(signs)} if signs else {}),
    }


def _signs_of(texts: pl.Series) -> set[str]:
    """Return the signs before or after the numbers of a column; none where it holds other texts."""
    signs = "|".join(re.escape(sign) for sign in _SIGNS)
    if texts.is_empty() or not texts.str.contains(rf"^([+-]?\d|[+-]?({signs}))").all():
        return set()
    number = r"\d[\d.,' \u00a0\u202f]*"
    if not texts.str.contains(rf"^[+-]?\s*({signs})?\s*[+-]?{number}\s*({signs})?$").all():
        return set()
    found = texts.str.extract_all(signs).explode(empty_as_null=True)
    return set(found.drop_nulls().unique())


def _fit(texts: pl.Series, decimal: str, thousands: str | None) -> bool:
    mark = {None: "", " ": "[ \u00a0\u202f]"}.get(thousands, re.escape(thousands or ""))
    grouped = rf"|[1-9]\d{{0,2}}({mark}\d{{3}})+" if thousands else ""
    return bool(texts.str.contains(rf"^[+-]?(\d+{grouped})({re.escape(decimal)}\d+)?([eE][+-]?\d+)?$").all())
