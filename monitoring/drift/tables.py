"""Tables to profile or compare: polars and pandas frames, Parquet and CSV files, one batch of rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.common.errors import DriftError
from monitoring.drift.grid import Floats, Numeric

if TYPE_CHECKING:
    import pandas as pd

#: A frame, a Parquet or CSV file, or several Parquet files in order of time.
Table: TypeAlias = "pl.DataFrame | pd.DataFrame | Path | str | Sequence[Path]"
Kind = Literal["number", "category"]
#: Rows of a Parquet file that are in memory together.
BATCH = 1 << 17
_SAMPLE = 1 << 16
_SAMPLED_GROUPS = 32


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
        column = column.cast(pl.Float64 if column.null_count() else pl.Int64)
    values: Numeric = column.to_numpy()
    return values


class Source:
    """A table that can be sampled, and read from its first row to its last.

    Args:
        table: what to read.
        time: name of the time column; rows are then taken in its order.
        entity: name of the column that tells the series of a panel apart.

    Raises:
        DriftError: a file that is absent or unreadable, a table without rows or columns, a time that is no time.
    """

    def __init__(self, table: Table, time: str | None = None, entity: str | None = None) -> None:
        self.time, self.entity = time, entity
        self._files: list[Path] = []
        self._frame: pl.DataFrame | None = None
        self.name = "the table"
        if isinstance(table, str | Path) and Path(table).suffix.lower() in (".csv", ".gz"):
            self.name = str(table)
            self._frame = _read_csv(Path(table))
        elif isinstance(table, pl.DataFrame):
            self._frame = table
        elif isinstance(table, str | Path):
            self._files = _parquet_files(Path(table))
            self.name = str(table)
        elif isinstance(table, list | tuple):
            self._files = [file for item in table for file in _parquet_files(Path(item))]
            self.name = f"{len(self._files)} files"
        else:
            self._frame = _from_pandas(table)
        self._open()

    def _open(self) -> None:
        if self._frame is not None:
            self.rows, self.schema = self._frame.height, dict(self._frame.schema)
        else:
            self.rows, self.schema = _parquet_schema(self._files)
        if not self.schema:
            raise DriftError(f"{self.name} has no columns")
        if not self.rows:
            raise DriftError(f"{self.name} has no rows; there is nothing to compare")
        for role, name in (("time", self.time), ("entity", self.entity)):
            if name is not None and name not in self.schema:
                raise DriftError(f"{self.name} has no {role} column {name!r}; it has {', '.join(self.schema)}")
        if self._frame is not None and self.time is not None:
            self._frame = self._in_order(self._frame)

    def _in_order(self, frame: pl.DataFrame) -> pl.DataFrame:
        assert self.time is not None
        frame = frame.with_columns(_as_time(frame.get_column(self.time), self.name))
        if self.entity is not None:
            return frame.sort(self.entity, self.time, maintain_order=True)
        return frame if frame.get_column(self.time).is_sorted() else frame.sort(self.time, maintain_order=True)

    def kinds(self) -> dict[str, Kind]:
        """Return the kind of each column that can be watched, in the order of the table."""
        found: dict[str, Kind] = {}
        for name, dtype in self.schema.items():
            if name in (self.time, self.entity):
                continue
            if dtype.is_numeric() or dtype == pl.Boolean:
                found[name] = "number"
            elif dtype in (pl.String, pl.Categorical, pl.Enum):
                found[name] = "category"
        return found

    def all_missing(self, name: str) -> bool:
        """Return whether a column is known to hold nothing at all, whatever its type."""
        if self.schema[name] == pl.Null:
            return True
        return self._frame is not None and self._frame.get_column(name).null_count() == self.rows

    def retype(self, name: str, kind: Kind) -> None:
        """Take a column that holds nothing as one of the given kind."""
        dtype = pl.Float64() if kind == "number" else pl.String()
        self.schema[name] = dtype
        if self._frame is not None:
            self._frame = self._frame.with_columns(pl.lit(None, dtype=dtype).alias(name))

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows with these columns, and the time and entity columns, in order."""
        wanted = list(dict.fromkeys([*columns, *filter(None, (self.time, self.entity))]))
        if self._frame is not None:
            yield Batch(self._frame.select(wanted), self.time, self.entity)
            return
        yield from self._stream(wanted)

    def _stream(self, wanted: list[str]) -> Iterator[Batch]:
        import pyarrow.parquet as pq

        latest = None
        for file in self._files:
            with pq.ParquetFile(file, pre_buffer=False) as parquet:
                for record in parquet.iter_batches(batch_size=BATCH, columns=wanted, use_threads=True):
                    frame = pl.DataFrame(pl.from_arrow(record))
                    if self.time is not None and self.entity is None:
                        frame = frame.with_columns(_as_time(frame.get_column(self.time), str(file)))
                        latest = _after(frame.get_column(self.time), latest, file)
                    yield Batch(frame, self.time, self.entity)

    def sample(self, columns: Sequence[str]) -> pl.DataFrame:
        """Return up to some tens of thousands of rows, drawn evenly over the table, the same on every call."""
        if self._frame is not None:
            return self._frame.select(columns)[_even_rows(self.rows, _SAMPLE)]
        return _sample_parquet(self._files, list(columns))


def _even_rows(rows: int, wanted: int) -> NDArray[np.int64]:
    """Return up to `wanted` row numbers, one from each of as many equal stretches, ascending."""
    if rows <= wanted:
        return np.arange(rows)
    starts = np.arange(wanted, dtype=np.int64) * rows // wanted
    # A fixed stride could fall in step with the hours of a day.
    return starts + np.random.default_rng(0).integers(0, rows // wanted, wanted)


def _sample_parquet(files: Sequence[Path], columns: list[str]) -> pl.DataFrame:
    import pyarrow.parquet as pq

    parts = [(file, group) for file in files for group in range(_group_count(file))]
    chosen = [parts[i] for i in np.unique(np.linspace(0, len(parts) - 1, _SAMPLED_GROUPS).astype(int))]
    share = _SAMPLE // len(chosen)
    frames = []
    for file, group in chosen:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            pieces = parquet.iter_batches(batch_size=BATCH, row_groups=[group], columns=columns)
            for frame in (pl.DataFrame(pl.from_arrow(piece)) for piece in pieces):
                frames.append(frame[_even_rows(frame.height, share)])
    whole = pl.concat(frames)
    return whole[_even_rows(whole.height, _SAMPLE)]


def _group_count(file: Path) -> int:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        return int(parquet.num_row_groups)


def _parquet_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob("**/*.parquet"))
        if not files:
            raise DriftError(f"{path} holds no Parquet file")
        return files
    if not path.is_file():
        raise DriftError(f"{path} does not exist")
    return [path]


def _parquet_schema(files: Sequence[Path]) -> tuple[int, dict[str, pl.DataType]]:
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
    empty = pl.DataFrame(pl.from_arrow(schema.empty_table()))
    return rows, dict(empty.schema)


def _read_csv(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DriftError(f"{path} does not exist")
    try:
        return pl.read_csv(path, try_parse_dates=True, infer_schema_length=None, null_values=["", "NA", "NaN"])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DriftError(f"{path} cannot be read as CSV: {error}") from error


def _from_pandas(table: object) -> pl.DataFrame:
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
        return pl.Series(name, [None if value is None or value != value else str(value) for value in column])
    return pl.from_pandas(column).alias(name)


def _as_time(column: pl.Series, table: str) -> pl.Series:
    """Return a time column in microseconds; refuse one that holds something else, or nothing in some row."""
    if column.dtype == pl.String:
        try:
            column = column.str.to_datetime(time_unit="us")
        except pl.exceptions.PolarsError as error:
            raise DriftError(f"{table}: column {column.name!r} does not hold times: {error}") from error
    if not column.dtype.is_temporal() or column.dtype in (pl.Time, pl.Duration):
        raise DriftError(f"{table}: column {column.name!r} is {column.dtype}; the time column must hold dates or times")
    if column.null_count():
        row = int(column.is_null().arg_true()[0])
        raise DriftError(f"{table}: column {column.name!r} has no time in row {row} and {column.null_count() - 1} more")
    zone = getattr(column.dtype, "time_zone", None)
    column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else column
    return column.cast(pl.Datetime("us"))


def _after(times: pl.Series, latest: object, file: Path) -> object:
    first = times.min()
    if not times.is_sorted() or (latest is not None and first is not None and first < latest):  # type: ignore[operator]
        raise DriftError(f"{file}: column {times.name!r} runs backwards; streamed files must be sorted by time")
    return times.max()


def sample_numbers(sample: pl.DataFrame, name: str) -> Floats:
    """Return a column of a sample as floats (n,)."""
    return np.asarray(as_numbers(sample.get_column(name)), np.float64)
