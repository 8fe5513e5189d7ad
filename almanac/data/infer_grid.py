"""Inference of a regular grid: its entity and its step."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

from almanac.core.errors import TableError
from almanac.data.infer_columns import ColumnFacts

#: Share of the steps that must equal the median one.
_REGULAR = 0.99
#: Most times of the grid for each row; beyond, a stray date stretches it.
_STRETCH = 10
_NEXT = "expected a regular grid, events, or rows to gather to days"


class StretchError(TableError):
    """A stray date would stretch the grid."""


@dataclass(frozen=True)
class Grid:
    """A regular grid: entity, None for a single series, distance of two rows, and share of the steps that it is."""

    entity: str | None
    step: timedelta
    regular: float


def grid_of(
    raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts], entity: str | None, path: Path
) -> Grid:
    """Return the grid of a table.

    Args:
        raw: The table as read.
        times: Times of its rows.
        columns: Facts about its columns.
        entity: Entity column, inferred when None.
        path: Path of the table, for errors.

    Raises:
        StretchError: a stray date would stretch it.
        TableError: there is none; the row and the reason are named.
    """
    rows = pl.DataFrame([times, *([raw[entity].alias("entity")] if entity else [])])
    if rows.is_duplicated().any():
        if entity is not None:
            raise TableError(f"--entity {entity}: {_repeated(rows)}; expected one row for each entity and time")
        entity = _entity(raw, times, columns, path)
    return Grid(entity, *_steps(times, raw[entity] if entity else None, path))


def _entity(raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts], path: Path) -> str:
    """Return the column of fewest values that makes every time unique and has a regular grid for each value."""
    failures = []
    for column in entities(raw, times, columns):
        try:
            _steps(times, column, path)
        except TableError as error:
            failures.append(str(error))
        else:
            return column.name
    if failures:
        raise TableError(failures[0])
    rows = _repeated(pl.DataFrame([times]))
    raise TableError(f"{path}: {rows}, and no column distinguishes the rows of one time as an entity; {_NEXT}")


def entities(raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts]) -> list[pl.Series]:
    """Return the columns that make every time unique, that of fewest values first."""
    able = [
        column
        for column in raw
        if (column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical, pl.Enum))
        and not (column.name in columns and columns[column.name].type == "float")
        and not column.null_count()
        and not pl.DataFrame([times, column.alias("entity")]).is_duplicated().any()
    ]
    return sorted(able, key=lambda column: column.n_unique())


def _repeated(rows: pl.DataFrame) -> str:
    first = int(rows.is_duplicated().arg_max() or 0)
    twin = rows.with_row_index("row").filter(
        pl.all_horizontal(pl.col(n).eq_missing(rows[n][first]) for n in rows.columns)
    )
    numbers = " and ".join(str(row + 1) for row in twin["row"].head(2))
    return f"rows {numbers} share {' and '.join(str(value) for value in rows.row(first)[::-1])}"


def _steps(times: pl.Series, entity: pl.Series | None, path: Path) -> tuple[timedelta, float]:
    """Return the median step between the rows of a series, and the share of the steps that equal it."""
    rows = pl.DataFrame([times.to_physical().alias("time"), *([entity.alias("entity")] if entity is not None else [])])
    rows = rows.with_row_index("row", 1).sort("time", maintain_order=True)
    step = pl.col("time").diff()
    steps = rows.with_columns(step=step.over("entity") if entity is not None else step).drop_nulls("step")
    if steps.is_empty():
        raise TableError(f"{path}: each series has a single row; a forecast needs a history")
    # An element and not the mean of the middle two, which may be no step at all.
    median = int(steps["step"].sort()[steps.height // 2])
    regular = int((steps["step"] == median).sum()) / steps.height
    other = steps.filter(pl.col("step") != median)
    shown = f"{path}: the median step is {timedelta(microseconds=median)}"
    if regular < _REGULAR:
        first = other.row(0, named=True)
        raise TableError(
            f"{shown}, and only {regular:.1%} of the steps are (not row {first['row']}, "
            f"{timedelta(microseconds=first['step'])} after the one before); {_NEXT}: at least {_REGULAR:.0%} must be"
        )
    # The minute is the smallest unit of a duration in a use case.
    if median % 60_000_000:
        raise TableError(f"{shown}; expected whole minutes")
    # The grid is complete: every time between the first and the last becomes a row.
    if int(steps["step"].sum()) // median > _STRETCH * rows.height:
        far = other.sort("step", descending=True).row(0, named=True)
        raise StretchError(
            f"{shown}, and row {far['row']} ({times[far['row'] - 1]}) is {timedelta(microseconds=far['step'])} after "
            "the one before it in time; correct or remove the stray one: the grid "
            f"would have more than {_STRETCH} times for each row"
        )
    return timedelta(microseconds=median), regular
