"""Reading of a validated table, the file that later steps share."""

from pathlib import Path

import polars as pl

from almanac.core.errors import TableError
from almanac.usecase import UseCase


def read_validated(usecase: UseCase, table: Path) -> pl.DataFrame:
    """Return a validated table with its times as Datetime[us].

    Raises:
        TableError: no Parquet table, or one without the use case's time column.
    """
    try:
        frame = pl.read_parquet(table)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{table}: not a Parquet table ({str(error).splitlines()[0]})") from error
    if usecase.time.column not in frame.columns:
        raise TableError(f"{table}: no time column {usecase.time.column!r}; it has {', '.join(frame.columns)}")
    return frame.with_columns(pl.col(usecase.time.column).cast(pl.Datetime("us")))
