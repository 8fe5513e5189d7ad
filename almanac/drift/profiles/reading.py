"""Parquet and CSV files and pandas frames as polars frames, checked."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from almanac.core.errors import DriftError
from almanac.drift.profiles.times import is_iso, parse

if TYPE_CHECKING:
    import pandas as pd

#: Rows of a Parquet file that are in memory together.
BATCH = 1 << 17
#: Rows of a sample.
SAMPLE = 1 << 16
_SAMPLED_GROUPS = 32


def even_rows(rows: int, most: int) -> NDArray[np.int64]:
    """Return up to `most` row numbers, one from each of as many equal stretches, ascending."""
    if rows <= most:
        return np.arange(rows)
    starts = np.arange(most, dtype=np.int64) * rows // most
    # A fixed stride could fall in step with the hours of a day.
    return starts + np.random.default_rng(0).integers(0, rows // most, most)


def sample_parquet(files: Sequence[Path], columns: list[str]) -> pl.DataFrame:
    """Return up to `SAMPLE` evenly drawn rows of Parquet files, the same on every call."""
    import pyarrow.parquet as pq

    parts = [(file, group) for file in files for group in range(_group_count(file))]
    chosen = [parts[i] for i in np.unique(np.linspace(0, len(parts) - 1, _SAMPLED_GROUPS).astype(int))]
    share = SAMPLE // len(chosen)
    frames = []
    for file, group in chosen:
        # Without pre-buffering, which would hold the whole row group in memory.
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            pieces = parquet.iter_batches(batch_size=BATCH, row_groups=[group], columns=columns)
            for frame in (pl.DataFrame(pl.from_arrow(piece)) for piece in pieces):
                frames.append(frame[even_rows(frame.height, share)])
    whole = pl.concat(frames)
    return whole[even_rows(whole.height, SAMPLE)]


def _group_count(file: Path) -> int:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        return int(parquet.num_row_groups)


def parquet_files(path: Path) -> list[Path]:
    """Return the Parquet files of a path: the file itself, or those of a directory in order.

    Raises:
        DriftError: there is none.
    """
    if path.is_dir():
        files = sorted(path.glob("**/*.parquet"))
        if not files:
            raise DriftError(f"{path} holds no Parquet file")
        return files
    if not path.is_file():
        raise DriftError(f"{path} does not exist")
    return [path]


def parquet_schema(files: Sequence[Path]) -> tuple[int, dict[str, pl.DataType]]:
    """Return the rows of several Parquet files together, and their common columns with types.

    Raises:
        DriftError: a file that is no Parquet, that differs from the first, or that has two columns of one name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, schema = 0, None
    for file in files:
        try:
            with pq.ParquetFile(file) as parquet:
                rows += parquet.metadata.num_rows
                own = parquet.schema_arrow
        except (pa.ArrowInvalid, OSError) as error:
            raise DriftError(f"{file} is neither Parquet nor CSV: {error}") from error
        if schema is not None and not own.equals(schema):
            raise DriftError(f"{file} has other columns or types than {files[0]}; files read together must agree")
        schema = own
    assert schema is not None
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise DriftError(f"{files[0]} has two columns named {twice!r}; names must differ")
    empty = pl.DataFrame(pl.from_arrow(schema.empty_table()))
    return rows, dict(empty.schema)


def read_csv(path: Path) -> pl.DataFrame:
    """Return a CSV file.

    Raises:
        DriftError: absent or unreadable, or two columns of one name.
    """
    if not path.is_file():
        raise DriftError(f"{path} does not exist")
    try:
        _check_header(path)
        # Types come from all rows, since a column of whole numbers may have a decimal far below.
        frame = pl.read_csv(path, infer_schema_length=None, null_values=["", "NA", "NaN"])
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise DriftError(f"{path} cannot be read as CSV: {error}") from error
    # pandas writes its index under no name.
    frame = frame.rename({"": "(no name)"}) if "" in frame.columns else frame
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String and is_iso(frame.get_column(name))]
    return frame.with_columns(parse(frame.get_column(name), str(path)) for name in texts)


def _check_header(path: Path) -> None:
    """Refuse other separators than commas, and a name that two columns have: polars would number the second one.

    Raises:
        DriftError: another separator, or two columns of one name.
    """
    with (
        gzip.open(path, "rt", encoding="utf-8-sig")
        if path.suffix == ".gz"
        else open(path, encoding="utf-8-sig") as file
    ):
        header = next(csv.reader(file), [])
    if len(header) == 1 and {";", "\t"} & set(header[0]):
        raise DriftError(f"{path}: the header {header[0]!r} has no comma; separate the columns by commas")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        places = " and ".join(str(at) for at, name in enumerate(header, 1) if name == twice)
        raise DriftError(f"{path}: columns {places} have the same name {twice!r}; names must differ")


def from_pandas(table: object) -> pl.DataFrame:
    """Return a pandas frame, whose named time index becomes a column.

    Raises:
        DriftError: something else, or two columns of one name.
    """
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise DriftError(f"a table is a polars or pandas frame or a file, not {type(table).__name__}")
    named = table.reset_index() if isinstance(table.index, pd.DatetimeIndex) and table.index.name else table
    columns: dict[str, pl.Series] = {}
    for position, name in enumerate(named.columns):
        column = named.iloc[:, position]
        if str(name) in columns:
            raise DriftError(f"the table has two columns named {name!r}; names must differ")
        columns[str(name)] = _column_from_pandas(str(name), column)
    return pl.DataFrame(columns)


def _column_from_pandas(name: str, column: "pd.Series[Any]") -> pl.Series:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        return pl.Series(name, column.to_numpy())
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "O":
        # pandas marks a missing text by NaN as well, which differs from itself.
        return pl.Series(name, [None if value is None or value != value else str(value) for value in column])
    return pl.from_pandas(column).alias(name)
