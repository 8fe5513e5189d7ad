"""Wide to long: one row for each column of a row."""

import re
from typing import Literal

import polars as pl

from almanac.data.shapes import ShapeBase, ShapeKind
from almanac.data.shapes._columns import require, require_new


class Melt(ShapeBase):
    """Wide to long: a row of 100 machines becomes 100 rows, each with a machine's name and value."""

    step: Literal["melt"]
    keep: list[str] = []
    """Columns that every new row repeats, such as the time."""
    columns: str | None = None
    """Regular expression for the names of the columns to melt; all but those of `keep` when absent."""
    name: str = "name"
    """Column that receives the names of the melted columns."""
    value: str = "value"
    """Column that receives their values."""


def _apply(table: pl.DataFrame, melt: Melt) -> pl.DataFrame:
    require(table, melt.keep)
    if melt.name == melt.value:
        raise ValueError(f"name and value are both {melt.name!r}")
    try:
        pattern = re.compile(melt.columns or "")
    except re.error as error:
        raise ValueError(f"columns: {melt.columns!r} is no regular expression: {error}") from None
    melted = [
        name
        for name in table.columns
        if name not in melt.keep and (melt.columns is None or pattern.fullmatch(name) is not None)
    ]
    if not melted:
        raise ValueError(f"no column to melt beside {', '.join(melt.keep)} has a name of the form {melt.columns}")
    require_new(table.select(melt.keep), (melt.name, melt.value))
    types = dict.fromkeys(str(table.schema[name]) for name in melted if table.schema[name] != pl.Null)
    if len(types) > 1 and not all(table.schema[name].is_numeric() or table.schema[name] == pl.Null for name in melted):
        raise ValueError(f"the melted columns have the types {', '.join(types)}; name those of one type in 'columns'")
    return table.unpivot(melted, index=melt.keep, variable_name=melt.name, value_name=melt.value)


KIND = ShapeKind("melt", Melt, _apply)
