"""Tables to profile or compare: polars and pandas frames, Parquet and CSV files, one batch of rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from almanac.core.errors import DriftError
from almanac.drift.counting.histogram import Floats, Numeric
from almanac.drift.profiles.reading import (
    BATCH,
    SAMPLE,
    even_rows,
    from_pandas,
    parquet_files,
    parquet_schema,
    read_csv,
    sample_parquet,
)
from almanac.drift.profiles.roles import Kind
from almanac.drift.profiles.times import after, as_time, parse, zone_of

if TYPE_CHECKING:
    import pandas as pd

#: A frame, a Parquet or CSV file, or several Parquet files in order of time.
Table: TypeAlias = "pl.DataFrame | pd.DataFrame | Path | str | Sequence[Path]"


@dataclass(frozen=True)
class Batch:
    """Some rows of a table, in the order of time where the table has a time column."""

    frame: pl.DataFrame
    time: str | None
    entity: str | None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.frame.height

    def number(self, name: str) -> Numeric:
        """Return a numeric column (n,), NaN where missing."""
        return as_numbers(self.frame.get_column(name))

    def category(self, name: str) -> pl.Series:
        """Return a column of categories as strings."""
        return self.frame.get_column(name).cast(pl.String)

    def times(self) -> NDArray[np.int64] | None:
        """Return the time of each row (n,) in microseconds since 1970, or None."""
        if self.time is None:
            return None
        return self.frame.get_column(self.time).cast(pl.Datetime("us")).to_physical().to_numpy()

    def entity_starts(self) -> NDArray[np.int64]:
        """Return the rows (e,) at which another entity begins, the first row included."""
        if self.entity is None or not self.rows:
            return np.zeros(1, np.int64)
        column = self.frame.get_column(self.entity)
        changed = (column != column.shift(1)).fill_null(True).to_numpy()
        return np.flatnonzero(np.r_[True, changed[1:]]).astype(np.int64)


def as_numbers(column: pl.Series) -> Numeric:
    """Return a numeric or boolean column as an array (n,), without a copy where that is possible."""
    if column.dtype in (pl.Boolean, pl.Null) or column.dtype.is_decimal():
        column = column.cast(pl.Float64)
    if column.dtype.is_integer():
        # An integer has no NaN for a missing value.
        column = column.cast(pl.Float64 if column.null_count() else pl.Int64)
    values: Numeric = column.to_numpy()
    return values


class Source:
    """A table that can be sampled, and read from its first row to its last.

    Args:
        table: a frame, or one or several files.
        time: name of the time column; rows are then taken in its order.
        entity: column with the name of each row's series, in a panel.
        name: name of the table in errors; that of its file when empty.

    Attributes:
        zone: zone of its times, None for times without one, or without a time column.

    Raises:
        DriftError: a file that is absent or unreadable, a table without rows or columns, a time that is no time.
    """

    def __init__(self, table: Table, time: str | None = None, entity: str | None = None, name: str = "") -> None:
        self.time, self.entity = time, entity
        self.zone: str | None = None
        self._files: list[Path] = []
        self._frame: pl.DataFrame | None = None
        self.name = "the table"
        if isinstance(table, str | Path) and Path(table).suffix.lower() in (".csv", ".gz"):
            self.name = str(table)
            self._frame = read_csv(Path(table))
        elif isinstance(table, pl.DataFrame):
            self._frame = table
        elif isinstance(table, str | Path):
            self._files = parquet_files(Path(table))
            self.name = str(table)
        elif isinstance(table, list | tuple) and all(isinstance(part, str | Path) for part in table):
            self._files = [file for item in table for file in parquet_files(Path(item))]
            self.name = f"{len(self._files)} files"
        else:
            self._frame = from_pandas(table)
        self.name = name or self.name
        self._open()

    def _open(self) -> None:
        if self._frame is not None:
            self.rows, self.schema = self._frame.height, dict(self._frame.schema)
        else:
            self.rows, self.schema = parquet_schema(self._files)
        if not self.schema:
            raise DriftError(f"{self.name} has no columns")
        if not self.rows:
            raise DriftError(f"{self.name} has no rows; there is nothing to compare")
        for role, name in (("time", self.time), ("entity", self.entity)):
            if name is not None and name not in self.schema:
                raise DriftError(f"{self.name} has no {role} column {name!r}; it has {', '.join(self.schema)}")
        if self.time is not None:
            self.zone = self._zone(self.time)
        if self._frame is not None and self.time is not None:
            self._frame = self._in_order(self._frame)

    def _zone(self, time: str) -> str | None:
        if self.schema[time] != pl.String:
            return zone_of(self.schema[time])
        first = self._frame if self._frame is not None else sample_parquet(self._files[:1], [time])
        return zone_of(parse(first.get_column(time).head(1), self.name).dtype)

    def _in_order(self, frame: pl.DataFrame) -> pl.DataFrame:
        assert self.time is not None
        frame = frame.with_columns(as_time(frame.get_column(self.time), self.name))
        if self.entity is not None:
            # Each series by itself: steps, runs and gaps are those from row to row.
            return frame.sort(self.entity, self.time, maintain_order=True)
        return frame if frame.get_column(self.time).is_sorted() else frame.sort(self.time, maintain_order=True)

    def kinds(self) -> dict[str, Kind]:
        """Return the kind of each column that can be watched, in the order of the table."""
        kinds: dict[str, Kind] = {}
        for name, dtype in self.schema.items():
            if name in (self.time, self.entity):
                continue
            if dtype.is_numeric() or dtype == pl.Boolean:
                kinds[name] = "number"
            elif dtype in (pl.String, pl.Categorical, pl.Enum):
                kinds[name] = "category"
        return kinds

    def all_missing(self, name: str) -> bool:
        """Return whether every value of a column is known to be missing, whatever its type."""
        # A column without values has whatever type its reader guessed.
        if self.schema[name] == pl.Null:
            return True
        return self._frame is not None and self._frame.get_column(name).null_count() == self.rows

    def retype(self, name: str, kind: Kind) -> None:
        """Read a column of missing values as one of the given kind."""
        dtype = pl.Float64() if kind == "number" else pl.String()
        self.schema[name] = dtype
        if self._frame is not None:
            self._frame = self._frame.with_columns(pl.lit(None, dtype=dtype).alias(name))

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows with these columns, and the time and entity columns, in order."""
        names = list(dict.fromkeys([*columns, *filter(None, (self.time, self.entity))]))
        if self._frame is not None:
            yield Batch(self._frame.select(names), self.time, self.entity)
            return
        yield from self._stream(names)

    def _stream(self, names: list[str]) -> Iterator[Batch]:
        import pyarrow.parquet as pq

        latest = None
        for file in self._files:
            with pq.ParquetFile(file, pre_buffer=False) as parquet:
                for record in parquet.iter_batches(batch_size=BATCH, columns=names, use_threads=True):
                    frame = pl.DataFrame(pl.from_arrow(record))
                    # Rows of several entities may be in any order of time in one file.
                    if self.time is not None and self.entity is None:
                        frame = frame.with_columns(as_time(frame.get_column(self.time), str(file)))
                        latest = after(frame.get_column(self.time), latest, file)
                    yield Batch(frame, self.time, self.entity)

    def sample(self, columns: Sequence[str]) -> pl.DataFrame:
        """Return up to some tens of thousands of rows, drawn evenly over the table, the same on every call."""
        if self._frame is not None:
            return self._frame.select(columns)[even_rows(self.rows, SAMPLE)]
        return sample_parquet(self._files, list(columns))


def sample_numbers(sample: pl.DataFrame, name: str) -> Floats:
    """Return a column of a sample as floats (n,)."""
    return np.asarray(as_numbers(sample.get_column(name)), np.float64)
