"""The rows that a condition holds for."""

from typing import Literal

import polars as pl

from almanac.data.shapes import ShapeBase, ShapeKind
from almanac.data.shapes._columns import evaluate


class Filter(ShapeBase):
    """The rows that a condition holds for; a row for which it is unknown is left out."""

    step: Literal["filter"]
    where: str
    """Condition in SQL on the columns of one row, such as grade = 'psa10' AND CAST(count AS INT) > 0."""


def _apply(table: pl.DataFrame, filter_: Filter) -> pl.DataFrame:
    mask = evaluate(table, filter_.where)
    if mask.dtype != pl.Boolean:
        raise ValueError(f"{filter_.where!r} is {mask.dtype}, and should be true or false for each row")
    kept = table.filter(mask)
    if kept.is_empty():
        raise ValueError(f"{filter_.where!r} holds for none of the {table.height:,} rows")
    return kept


KIND = ShapeKind("filter", Filter, _apply)
