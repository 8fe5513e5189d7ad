"""Columns with one value for all rows."""

from typing import Literal

import polars as pl

from almanac.data.shapes import ShapeBase, ShapeKind
from almanac.data.shapes._columns import require_new


class Constant(ShapeBase):
    """Columns with one value for all rows, such as the name of the only machine of a file."""

    step: Literal["constant"]
    columns: dict[str, str | int | float]
    """Name to its value."""


def _apply(table: pl.DataFrame, constant: Constant) -> pl.DataFrame:
    require_new(table, constant.columns)
    return table.with_columns(pl.lit(value).alias(name) for name, value in constant.columns.items())


KIND = ShapeKind("constant", Constant, _apply)
