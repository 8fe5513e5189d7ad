"""Inference of the types of a table's columns."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from almanac.data.infer_read import as_numbers
from almanac.data.infer_time import is_time
from almanac.data.numbers import to_numbers
from almanac.usecase.data_section import Read

#: Levels that a use case lists; more of them are learned, where each comes up in so many rows on average.
_MAX_LEVELS, _FEWEST_OF_LEVEL = 30, 10


@dataclass(frozen=True)
class ColumnFacts:
    """Facts about a column.

    Attributes:
        type: Its type.
        missing: Share of its values that are missing.
        levels: Levels of a category that a use case lists; None for other columns, and for too many to list.
        many: Number of levels of a category whose levels are learned.
    """

    type: Literal["float", "integer", "boolean", "category", "text"]
    missing: float
    levels: list[str] | None = None
    many: int = 0


def columns_of(table: pl.DataFrame, textual: bool, read: Read) -> tuple[dict[str, ColumnFacts], dict[str, str]]:
    """Return the facts about each usable column, and the reason for each other one."""
    columns, left_out = {}, {}
    for column in table:
        facts = _facts(column, textual, read)
        if isinstance(facts, str):
            left_out[column.name] = facts
        else:
            columns[column.name] = facts
    return columns, left_out


def is_binary(column: pl.Series, read: Read) -> bool:
    """Return whether a column has two values that are true and false, such as yes and no, or 1 and 0."""
    if column.dtype == pl.Boolean:
        return column.drop_nulls().n_unique() == 2
    if column.dtype == pl.String:
        return set(to_numbers(column.drop_nulls(), "boolean", read)[0]) == {0.0, 1.0}
    return column.dtype.is_numeric() and set(column.drop_nulls().unique()) == {0, 1}


def _facts(column: pl.Series, textual: bool, read: Read) -> ColumnFacts | str:
    missing = column.null_count() / column.len()
    if missing == 1.0:
        return "has no value"
    if is_time(column):
        return "holds times"
    if column.dtype.is_integer() or column.dtype == pl.Boolean:
        return ColumnFacts("integer", missing)
    if column.dtype.is_numeric():
        return ColumnFacts("float", column.cast(pl.Float64).fill_nan(None).null_count() / column.len())
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return f"has the type {column.dtype}"
    texts = column.cast(pl.String)
    # A code such as 007 is no number.
    numbers = as_numbers(texts, read)
    if textual and numbers.null_count() == texts.null_count() and not texts.str.contains(r"^0\d").any():
        whole = texts.drop_nulls().str.contains(r"^\s*[+-]?\d+\s*$").all()
        return ColumnFacts("integer" if whole else "float", missing)
    levels = sorted(texts.drop_nulls().unique())
    if len(levels) <= _MAX_LEVELS:
        return ColumnFacts("category", missing, levels)
    if _FEWEST_OF_LEVEL * len(levels) <= column.len():
        return ColumnFacts("category", missing, many=len(levels))
    return f"has {len(levels):,} different texts in {column.len():,} rows; those of a category come up ten times each"
