"""Statistics over the other entities at the same time."""

import polars as pl

from almanac.core.errors import TableError
from almanac.usecase import UseCase


def with_others(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    """Return the table with the declared statistics over other entities; missing where no other has a value.

    Raises:
        TableError: the use case has no entity, or the table no such column of numbers.
    """
    for name, column in usecase.columns.items():
        if (others := column.others) is None:
            continue
        field = f"columns.{name}.others"
        if usecase.entity is None:
            raise TableError(f"{field}: the use case has no entity; a single series has no others")
        if table.schema.get(others.column) != pl.Float64:
            raise TableError(f"{field}.column: expected a column of numbers; {others.column} is none")
        own, time = pl.col(others.column), usecase.time.column
        count = own.count().over(time) - own.is_not_null()
        total = own.sum().over(time) - own.fill_null(0.0)
        statistic = {"mean": total / count, "sum": total, "count": count.cast(pl.Float64)}[others.statistic]
        known = (count > 0) | pl.lit(others.statistic == "count")
        table = table.with_columns(pl.when(known).then(statistic).alias(name))
    return table
