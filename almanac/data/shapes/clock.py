"""Times for rows that are only numbered."""

from typing import Annotated, Literal

import polars as pl
from pydantic import AfterValidator

from almanac.data.shapes import ShapeBase, ShapeKind
from almanac.data.shapes._columns import require, require_new
from almanac.usecase.types import Duration, to_microseconds, to_utc


def _check_time(text: str) -> str:
    try:
        to_utc(text)
    except ValueError:
        raise ValueError(f'{text!r} is no ISO time such as "2015-01-01T00:00"') from None
    return text


class Clock(ShapeBase):
    """Times for rows that are only numbered: row 1 at `start`, each next one `every` later."""

    step: Literal["clock"]
    start: Annotated[str, AfterValidator(_check_time)]
    """Time of the first row, in UTC."""
    every: Duration
    """Distance of two rows."""
    column: str = "time"
    """Column that receives the times."""
    counts: str | None = None
    """Column of whole numbers that counts the rows from 1; their order in the file when absent."""


def _apply(table: pl.DataFrame, clock: Clock) -> pl.DataFrame:
    require_new(table, [clock.column])
    if clock.counts is None:
        number = pl.Series(range(table.height), dtype=pl.Int64)
    else:
        require(table, [clock.counts])
        number = table[clock.counts].cast(pl.String).str.strip_chars().cast(pl.Int64, strict=False) - 1
        if number.null_count():
            row = int(number.is_null().arg_max() or 0)
            raise ValueError(f"column {clock.counts!r}, row {row + 1}: {table[clock.counts][row]!r} is no whole number")
    first = int(pl.Series([to_utc(clock.start)], dtype=pl.Datetime("us")).to_physical()[0])
    times = (number * to_microseconds(clock.every) + first).cast(pl.Datetime("us"))
    return table.with_columns(times.alias(clock.column))


KIND = ShapeKind("clock", Clock, _apply)
