"""Inference of a table's format, time, grid and entity, and of the types of its columns.

Only what a table shows without doubt is inferred. A second reading is an error that names the option to decide by, and
so is a table off a regular grid: events and business days have no use case yet.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import polars as pl

from almanac.core.errors import TableError
from almanac.data.compression import decompress
from almanac.data.infer_time import is_time, time_column
from almanac.data.read import parse
from almanac.data.times import parse_time
from almanac.usecase.data_section import FORMATS, Read, TimeFormat

#: Texts that mean a missing value where everything else in their column is a number.
_MISSING = frozenset({"NA", "N/A", "n/a", "nan", "NaN", "NULL", "null", "None", "-", "?"})
_FORMATS = {"csv": "csv", "tsv": "csv", "txt": "csv", "parquet": "parquet", "jsonl": "jsonl", "ndjson": "jsonl"}
_COMPRESSIONS: dict[str, Literal["gzip", "xz", "zip"]] = {"gz": "gzip", "xz": "xz", "zip": "zip"}
_MAX_LEVELS = 30
#: Share of the steps that must equal the median one.
_REGULAR = 0.99
#: Most times of the grid for each row; beyond, a stray date stretches it.
_STRETCH = 10
_NEXT = "only regular grids are supported for now"


@dataclass(frozen=True)
class ColumnFacts:
    """Type of a column, its levels if it is a category, and the share of its values that are missing."""

    type: Literal["float", "integer", "category"]
    missing: float
    levels: list[str] | None = None


@dataclass(frozen=True)
class Inferred:
    """Facts about a table.

    Attributes:
        read: Section `read` of its source, without names to change or to drop.
        times: Times of the rows, in naive UTC.
        entity: Column that identifies the series, None for a single one.
        step: Distance of two rows of a series.
        regular: Share of the steps that have this length.
        columns: Facts about each usable column, in the order of the table.
        left_out: Reason for each column that cannot be used.
        raw: The table as read.
    """

    read: Read
    times: pl.Series
    entity: str | None
    step: timedelta
    regular: float
    columns: dict[str, ColumnFacts]
    left_out: dict[str, str]
    raw: pl.DataFrame

    def numbers(self, column: str) -> pl.Series:
        """Return a numeric column's values, null where missing."""
        return _as_numbers(self.raw[column])


def infer(path: Path, data: bytes, time: str | None = None, entity: str | None = None) -> Inferred:
    """Return the facts about the table in `data`, which was read from `path`.

    Args:
        path: Path of the table; its suffixes name format and compression.
        data: Bytes of the file.
        time: Time column, inferred when None.
        entity: Entity column, inferred when None.

    Raises:
        SourceError: the bytes are not compressed as the suffix says.
        TableError: the table cannot be read or has no single reading; the column, row or option is named.
    """
    read = _read_section(path)
    content = decompress(read, data, str(path))
    if read.format == "csv":
        header = content.split(b"\n", 1)[0].decode(errors="replace")
        read = read.model_copy(update={"delimiter": max(",;\t|", key=header.count)})
    raw = parse(read, content, str(path))
    if raw.is_empty():
        raise TableError(f"{path}: has no rows")
    for option, name in (("--time", time), ("--entity", entity)):
        require_column(raw, option, name)
    textual = FORMATS[read.format].textual
    if textual and (markers := sorted({mark for column in raw for mark in _markers(column)})):
        read = read.model_copy(update={"null_values": markers})
        raw = parse(read, content, str(path))
    time, form = time_column(raw, time, path)
    read = read.model_copy(update={"time": TimeFormat(column=time, format=form)})
    times = parse_time(raw, read.time, "time", str(path))
    columns, left_out = _columns(raw.drop(time), textual)
    rows = pl.DataFrame([times, *([raw[entity].alias("entity")] if entity else [])])
    if rows.is_duplicated().any():
        if entity is not None:
            raise TableError(f"--entity {entity}: {_repeated(rows)}; expected one row for each entity and time")
        entity = _entity(raw, times, columns, path)
    step, regular = _steps(times, raw[entity] if entity else None, path)
    for facts in (columns, left_out):
        facts.pop(entity or "", None)
    return Inferred(read, times, entity, step, regular, columns, left_out, raw)


def require_column(table: pl.DataFrame, option: str, name: str | None) -> None:
    """Refuse an option that names a column which the table lacks."""
    if name is not None and name not in table.columns:
        raise TableError(f"{option} {name}: there is no such column; there is {', '.join(table.columns)}")


def _read_section(path: Path) -> Read:
    *_, before, last = ["", "", *(suffix[1:].lower() for suffix in path.suffixes)]
    compression = _COMPRESSIONS.get(last)
    form = _FORMATS.get(before if compression else last)
    if form is None:
        raise TableError(
            f"{path}: expected a name that ends in .{', .'.join(_FORMATS)}, or in .gz, .xz or .zip after it"
        )
    # Replaced once the time is known; the section cannot be made without one.
    return Read(format=form, compression=compression or "none", time=TimeFormat(column="unknown"))


def _markers(column: pl.Series) -> set[str]:
    """Return the texts for a missing value in a column that holds only numbers besides."""
    if column.dtype != pl.String:
        return set()
    values = column.drop_nulls()
    odd = values.filter(values.str.strip_chars().cast(pl.Float64, strict=False).is_null())
    marks = set(odd.unique())
    return marks if marks <= _MISSING and odd.len() < values.len() else set()


def _columns(table: pl.DataFrame, textual: bool) -> tuple[dict[str, ColumnFacts], dict[str, str]]:
    """Return the facts about each usable column, and the reason for each other one."""
    columns, left_out = {}, {}
    for column in table:
        facts = _facts(column, textual)
        if isinstance(facts, str):
            left_out[column.name] = facts
        else:
            columns[column.name] = facts
    return columns, left_out


def _facts(column: pl.Series, textual: bool) -> ColumnFacts | str:
    missing = column.null_count() / column.len()
    if missing == 1.0:
        return "has no value"
    if is_time(column):
        return "holds times"
    if column.dtype.is_integer() or column.dtype == pl.Boolean:
        return ColumnFacts("integer", missing)
    if column.dtype.is_numeric():
        return ColumnFacts("float", column.cast(pl.Float64).fill_nan(None).null_count() / column.len())
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return f"has the type {column.dtype}"
    texts = column.cast(pl.String)
    # A code such as 007 is no number.
    if textual and _as_numbers(texts).null_count() == texts.null_count() and not texts.str.contains(r"^0\d").any():
        whole = texts.drop_nulls().str.contains(r"^\s*[+-]?\d+\s*$").all()
        return ColumnFacts("integer" if whole else "float", missing)
    levels = sorted(texts.drop_nulls().unique())
    if len(levels) > _MAX_LEVELS:
        return f"has {len(levels):,} different texts; a category has at most {_MAX_LEVELS}"
    return ColumnFacts("category", missing, levels)


def _as_numbers(column: pl.Series) -> pl.Series:
    return (column.str.strip_chars() if column.dtype == pl.String else column).cast(pl.Float64, strict=False)


def _entity(raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts], path: Path) -> str:
    """Return the column of fewest values that makes every time unique and has a regular grid for each value."""
    able = [
        column
        for column in raw
        if (column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical, pl.Enum))
        and not (column.name in columns and columns[column.name].type == "float")
        and not column.null_count()
        and not pl.DataFrame([times, column.alias("entity")]).is_duplicated().any()
    ]
    failures = []
    for column in sorted(able, key=lambda column: column.n_unique()):
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
        raise TableError(
            f"{shown}, and row {far['row']} is {timedelta(microseconds=far['step'])} after the one before: the grid "
            f"would have more than {_STRETCH} times for each row"
        )
    return timedelta(microseconds=median), regular
