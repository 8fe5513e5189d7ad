"""Numbers in texts, as the section `read` says that they are written."""

import re
from collections.abc import Sequence

import polars as pl

from almanac.usecase.data_section import Read

_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")


def to_numbers(texts: pl.Series, declared: str, read: Read) -> tuple[pl.Series, str]:
    """Return texts as Float64, null where one does not suit its column, and the words for such a value.

    Args:
        texts: Column of texts.
        declared: Type of the column: float, integer, boolean or date.
        read: Section with the marks of decimals and thousands.
    """
    stripped = texts.str.strip_chars()
    if declared == "boolean":
        names = {**dict.fromkeys(_TRUE, 1.0), **dict.fromkeys(_FALSE, 0.0)}
        numbers = stripped.str.to_lowercase().replace_strict(names, default=None, return_dtype=pl.Float64)
        return numbers, f"neither true nor false ({', '.join([*_TRUE, *_FALSE])})"
    if declared == "date":
        days = stripped.str.to_date("%Y-%m-%d", strict=False)
        return days.to_physical().cast(pl.Float64), "no ISO 8601 date"
    stripped = without_signs(stripped, read.signs)
    if read.thousands is not None:
        stripped = _without_thousands(stripped, read)
    if read.decimal == ",":
        # A point would be read as a decimal mark, where it may stand between thousands.
        pointed = pl.when(~stripped.str.contains(".", literal=True)).then(stripped.str.replace(",", ".", literal=True))
        return pl.select(pointed).to_series().cast(pl.Float64, strict=False), "not a number with a decimal comma"
    return stripped.cast(pl.Float64, strict=False), "not a number"


def without_signs(texts: pl.Series, signs: Sequence[str]) -> pl.Series:
    """Return stripped texts without the signs, such as $ or %, before and after their numbers."""
    if not signs:
        return texts
    sign = "|".join(re.escape(one) for one in signs)
    return texts.str.replace(rf"^([+-]?)\s*(?:{sign})\s*", "${1}").str.replace(rf"\s*(?:{sign})$", "")


def _without_thousands(texts: pl.Series, read: Read) -> pl.Series:
    """Return numbers without the marks of thousands; one that is elsewhere than before three digits makes no number."""
    mark, decimal = re.escape(read.thousands or ""), re.escape(read.decimal)
    # A space may be a no-break or a narrow one.
    mark = "[ \u00a0\u202f]" if read.thousands == " " else mark
    form = rf"^[+-]?(\d+|\d{{1,3}}({mark}\d{{3}})+)({decimal}\d*)?([eE][+-]?\d+)?$"
    return pl.select(pl.when(texts.str.contains(form)).then(texts.str.replace_all(mark, ""))).to_series()
