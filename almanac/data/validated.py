"""Reading of a validated table, the file that later steps share."""

from pathlib import Path

import polars as pl

from almanac.core.errors import TableError
from almanac.usecase import UseCase


def read_validated(usecase: UseCase, table: Path) -> pl.DataFrame:
    """Return a validated table with its times as Datetime[us].

    Raises:
        TableError: no Parquet table, or one whose time column is missing or has no times.
    """
    try:
        frame = pl.read_parquet(table)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{table}: not a Parquet table ({str(error).splitlines()[0]})") from error
    time = usecase.time.column
    if time not in frame.columns:
        raise TableError(f"{table}: no time column {time!r}; it has {', '.join(frame.columns)}")
    try:
        return frame.with_columns(pl.col(time).cast(pl.Datetime("us")))
    except pl.exceptions.PolarsError:
        raise TableError(f"{table}: the column {time} is of type {frame[time].dtype}; expected times") from None
