"""Nested to rows: one row for each element of a list in a column."""

from typing import Literal

import polars as pl

from almanac.data.shapes import ShapeBase, ShapeKind
from almanac.data.shapes._columns import require, require_new


class Explode(ShapeBase):
    """Nested to rows: a game with a list of 40 prices becomes 40 rows; an element's fields become columns."""

    step: Literal["explode"]
    column: str
    """Column of lists, or of objects, whose fields become columns without new rows."""
    prefix: str = ""
    """Text before the names of the fields of objects."""


def _apply(table: pl.DataFrame, explode: Explode) -> pl.DataFrame:
    require(table, [explode.column])
    dtype = table.schema[explode.column]
    if isinstance(dtype, pl.Array):
        table = table.with_columns(pl.col(explode.column).arr.to_list())
        dtype = table.schema[explode.column]
    if isinstance(dtype, pl.List):
        # An empty list has no row: it holds nothing that could be forecast.
        table = table.filter(pl.col(explode.column).list.len() > 0).explode(explode.column)
    elif not isinstance(dtype, pl.Struct):
        raise ValueError(f"column {explode.column!r} has the type {dtype}, and should hold lists or objects")
    if not isinstance(table.schema[explode.column], pl.Struct):
        return table
    fields = table[explode.column].struct.unnest()
    fields = fields.rename({name: f"{explode.prefix}{name}" for name in fields.columns})
    rest = table.drop(explode.column)
    require_new(rest, fields.columns)
    return rest.hstack(fields)


KIND = ShapeKind("explode", Explode, _apply)
