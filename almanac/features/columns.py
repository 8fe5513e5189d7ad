"""Columns of the feature table, which training, evaluation and the baselines read."""

import polars as pl

from almanac.core.arrays import Array
from almanac.core.errors import TableError


def column(table: pl.DataFrame, name: str, location: str = "the feature table") -> pl.Series:
    """Return a column.

    Raises:
        TableError: there is none.
    """
    if name not in table.columns:
        raise TableError(f"{location}: no column {name}; expected the time, the features, y_ and last_ of each target")
    return table[name]


def numbers(table: pl.DataFrame, name: str) -> Array:
    """Return a column as float64, NaN for missing.

    Raises:
        TableError: there is none.
    """
    return column(table, name).cast(pl.Float64).fill_null(float("nan")).to_numpy()
