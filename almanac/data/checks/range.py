"""A number must lie within the declared range; values beyond it may be set missing."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.data.checks._values import check_values
from almanac.usecase import UseCase
from almanac.usecase.column_section import Column


def range_text(column: Column) -> str:
    """Return a column's range as people read it."""
    unit = f" {column.unit}" if column.unit else ""
    if column.min is None and column.max is None:
        return "any"
    if column.max is None:
        return f"at least {column.min:g}{unit}"
    return f"at most {column.max:g}{unit}" if column.min is None else f"{column.min:g} to {column.max:g}{unit}"


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.usecase.validation.out_of_range == "error":
        return check_values(subject, "range", _constraint, lambda column: f"beyond {range_text(column)}")
    return check_values(
        subject, "range", _constraint, lambda column: f"beyond {range_text(column)}, set missing", "warning"
    )


def _constraint(column: Column) -> Any:
    import pandera.polars as pa

    return pa.Check.in_range(*_ends(column)) if _is_bounded(column) else None


def _set_missing(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    if usecase.validation.out_of_range == "error":
        return table
    # Only the value is dropped, and not the row with its other values.
    return table.with_columns(
        pl.when(pl.col(name).is_between(*_ends(column))).then(pl.col(name)).alias(name)
        for name, column in usecase.columns.items()
        if _is_bounded(column)
    )


def _is_bounded(column: Column) -> bool:
    return column.min is not None or column.max is not None


def _ends(column: Column) -> tuple[float, float]:
    # An infinite value lies within an open end; the check `finite` reports it.
    low = float("-inf") if column.min is None else column.min
    return low, float("inf") if column.max is None else column.max


KIND = Check("range", Stage.VALUES, _find, _set_missing)
