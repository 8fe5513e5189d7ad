"""Gathering of a source's rows to regular steps."""

import polars as pl

from almanac.core.errors import TableError
from almanac.core.grid import Grid
from almanac.usecase.shape_section import Resample
from almanac.usecase.types import to_timedelta


def resample(
    table: pl.DataFrame, terms: Resample, time: str, entity: str | None, location: str, grid: Grid | None = None
) -> pl.DataFrame:
    """Return one row for each step (and entity), in order of time, at the time at which the step begins.

    Args:
        table: Typed table: time in naive UTC, the entity where there is one, columns.
        terms: Declared length and aggregates.
        time: Name of the time column.
        entity: Name of the entity column where the table has one.
        location: The source, for errors.
        grid: Grid of the use case, on whose closed days no empty step is added; None where it has none.

    Raises:
        TableError: a column has no aggregate, is missing, or has one that its type does not allow.
    """
    keys = [time, *([entity] if entity else [])]
    columns = [name for name in table.columns if name not in keys]
    field = f"{location}.read.resample"
    if strange := sorted(terms.columns.keys() - set(columns)):
        raise TableError(f"{field}.columns: column {', '.join(strange)} is missing; there is {', '.join(columns)}")
    if bare := [name for name in columns if name not in terms.columns]:
        raise TableError(f"{field}.columns: {', '.join(bare)} has no aggregate; give one, or drop it in 'read.drop'")
    texts = [name for name, how in terms.columns.items() if table.schema[name] == pl.String and how not in _OF_TEXTS]
    if texts:
        raise TableError(f"{field}.columns.{texts[0]}: holds texts, which have no {terms.columns[texts[0]]}")
    # In order before they are floored: the first and the last of a step depend on it.
    ordered = table.sort(time, maintain_order=True)
    floored = ordered.with_columns(pl.col(time).dt.truncate(to_timedelta(terms.every)))
    gathered = floored.group_by(keys, maintain_order=True).agg(
        *(_aggregate(name, terms.columns[name]) for name in columns),
        *([pl.len().cast(pl.Float64).alias(terms.count)] if terms.count else []),
    )
    if terms.empty == "leave":
        return gathered
    full = _with_empty(gathered, terms, time, entity)
    if grid is None or not grid.has_closed_days:
        return full
    is_open = pl.Series(grid.is_open(full[time].to_physical().to_numpy()))
    # Rows that there were on a closed day are for validation to find.
    return full.filter(is_open | full[time].is_in(gathered[time].implode()))


_OF_TEXTS = ("first", "last", "count")


def _aggregate(name: str, how: str) -> pl.Expr:
    column = pl.col(name)
    if how == "count":
        return column.count().cast(pl.Float64)
    if how == "sum":
        # The sum of no value is missing, and not 0.
        return pl.when(column.count() > 0).then(column.sum()).alias(name)
    known = column.drop_nulls()
    return {
        "first": known.first(),
        "last": known.last(),
        "mean": column.mean(),
        "min": column.min(),
        "max": column.max(),
        "median": column.median(),
    }[how]


def _with_empty(table: pl.DataFrame, terms: Resample, time: str, entity: str | None) -> pl.DataFrame:
    """Add the steps without a row between the first and the last, of each entity."""
    by = [entity] if entity else []
    full = table.upsample(time, every=to_timedelta(terms.every), group_by=by or None, maintain_order=True)
    counted = [name for name, how in terms.columns.items() if how in ("sum", "count")]
    zero = [*counted, *([terms.count] if terms.count else [])]
    keys = table.select(time, *by).with_columns(__known__=True)
    known = full.join(keys, on=[time, *by], how="left", maintain_order="left")["__known__"].is_not_null()
    fill = [pl.when(known).then(pl.col(name)).otherwise(0.0).alias(name) for name in zero]
    return full.with_columns(*(pl.col(name).forward_fill() for name in by), *fill).sort(time, maintain_order=True)
