"""Times of a table on the even axis of its grid, on which closed days are left out."""

import polars as pl

from almanac.features.split import microseconds
from almanac.usecase import UseCase

# No declared column has this name, because a name begins with a letter.
EVEN = "__even__"


def even_times(table: pl.DataFrame, usecase: UseCase) -> pl.Series:
    """Return the times on the even axis of the grid, in µs."""
    return pl.Series(EVEN, usecase.time.grid.to_even(microseconds(table[usecase.time.column])))
