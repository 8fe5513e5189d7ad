"""Columns computed from others of the same row."""

from typing import Literal

import polars as pl

from almanac.data.shapes import ShapeBase, ShapeKind
from almanac.data.shapes._columns import evaluate


class Derive(ShapeBase):
    """Columns computed from others of the same row, one after the other; a name that exists is replaced."""

    step: Literal["derive"]
    columns: dict[str, str]
    """Name to its expression in SQL, such as CAST(price AS DOUBLE) * CAST(units AS DOUBLE)."""


def _apply(table: pl.DataFrame, derive: Derive) -> pl.DataFrame:
    for name, text in derive.columns.items():
        table = table.with_columns(evaluate(table, text).alias(name))
    return table


KIND = ShapeKind("derive", Derive, _apply)
