"""A table as the batch engine reads it: one series an entity, on a complete grid, categories as codes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from almanac.core.arrays import Array, Integers
from almanac.core.errors import FeatureError
from almanac.core.grid import Grid
from almanac.core.levels import is_open
from almanac.features.spec import FeatureSpec


@dataclass(frozen=True)
class Series:
    """The rows of one entity.

    Attributes:
        start: place of its first row in the table.
        stop: place after its last row.
        places: place of each row on the grid, which starts at the entity's first time; None where no time is missing.
        length: grid rows from its first to its last.
        origin: its first time on the even axis of the grid, in µs.
    """

    start: int
    stop: int
    places: npt.NDArray[np.intp] | None
    length: int
    origin: int


@dataclass(frozen=True)
class Rows:
    """A matrix, contiguous, whose rows Polars sees without a copy."""

    values: Array

    @cached_property
    def _flat(self) -> pl.Series:
        size = self.values.size
        # By Arrow, which refers to foreign memory instead of copying it.
        return pl.Series(pa.Array.from_buffers(pa.float64(), size, [None, pa.py_buffer(self.values)]))

    def row(self, row: int, start: int, length: int) -> pl.Series:
        """Return part of a row; a view."""
        return self._flat.slice(row * self.values.shape[1] + start, length)


def check_columns(spec: FeatureSpec, table: pl.DataFrame, columns: list[str]) -> None:
    """Raise FeatureError unless the table has the time, the entity and these columns in their types."""
    needed = [spec.time, *([spec.entity] if spec.entity else []), *columns]
    if missing := [name for name in needed if name not in table.columns]:
        raise FeatureError(f"the table has no column {missing[0]}; the features need {', '.join(needed)}")
    if not isinstance(table.schema[spec.time], pl.Datetime):
        raise FeatureError(f"column {spec.time}: is {table.schema[spec.time]}; it must be a Datetime")
    for name in columns:
        dtype, category = table.schema[name], name in spec.categories
        if category and not isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
            raise FeatureError(f"column {name}: is {dtype}; a category must be text")
        if not category and not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
            raise FeatureError(f"column {name}: is {dtype}; it must be a number")


def series(spec: FeatureSpec, table: pl.DataFrame) -> Iterator[Series]:
    """Yield the entities in the order of the table.

    Raises:
        FeatureError: rows not sorted by entity and time, a repeated or missing time, or one off the grid or on a closed
            day.
    """
    if not table.height:
        return
    time = times(table, spec.time)
    if spec.grid.has_closed_days and not (is_open := spec.grid.is_open(time)).all():
        raise FeatureError(f"{_row(spec, table, int(is_open.argmin()))} is on a day that time.calendar has closed")
    time = spec.grid.to_even(time)
    edges = _edges(spec, table)
    for start, stop in pairwise(edges):
        # The usual case, for which no place has to be kept.
        if (np.diff(time[start:stop]) == spec.step).all():
            yield Series(start, stop, None, stop - start, int(time[start]))
            continue
        offset = time[start:stop] - time[start]
        places, rest = np.divmod(offset, spec.step)
        steps = np.diff(places)
        # Asked before the order: a time off the grid has no place that could be compared.
        if rest.any():
            raise FeatureError(f"{_row(spec, table, start + int(rest.argmax()))} is off the grid of {spec.frequency}")
        if (steps < 1).any():
            row = _row(spec, table, start + 1 + int((steps < 1).argmax()))
            raise FeatureError(f"{row} does not come after the row before it; sort by entity and time, without doubles")
        yield Series(start, stop, places, int(places[-1]) + 1, int(time[start]))


def times(table: pl.DataFrame, column: str) -> Integers:
    """Return the times in µs since the epoch.

    Raises:
        FeatureError: a time is missing.
    """
    values = table[column]
    if values.dtype != pl.Datetime("us"):
        values = values.cast(pl.Datetime("us"))
    if values.null_count():
        raise FeatureError(f"row {int(values.is_null().arg_max() or 0) + 1}: {column} is missing")
    return values.to_physical().to_numpy()


def even_times(table: pl.DataFrame, column: str, grid: Grid) -> pl.Series:
    """Return the times on the even axis of a grid, in µs, under the name of their column.

    Raises:
        FeatureError: a time is missing.
    """
    return pl.Series(column, grid.to_even(times(table, column)))


def numbers(spec: FeatureSpec, table: pl.DataFrame, name: str) -> Array:
    """Return a column as float64: codes for a category, NaN where a value is missing, infinite or unknown; no -0."""
    values = table[name]
    if name in spec.categories:
        # Not strict, so that a category outside of the table becomes null instead of an error.
        texts = values.cast(pl.String)
        values = texts.cast(pl.Enum(spec.categories[name]), strict=False).to_physical()
        if is_open(spec.categories[name]):
            bucket = len(spec.categories[name]) - 1
            values = pl.select(
                pl.when(values.is_null() & texts.is_not_null()).then(bucket).otherwise(values)
            ).to_series()
    if values.dtype != pl.Float64:
        values = values.cast(pl.Float64)
    read = values.to_numpy()  # NaN where null
    # -0 would make an extreme depend on the order of its operands; infinity less itself is NaN.
    with np.errstate(invalid="ignore"):
        result = read - read
        return np.asarray(np.add(read, result, out=result))


def _edges(spec: FeatureSpec, table: pl.DataFrame) -> list[int]:
    if spec.entity is None:
        return [0, table.height]
    entity = table[spec.entity]
    if entity.null_count():
        raise FeatureError(f"row {int(entity.is_null().arg_max() or 0) + 1}: {spec.entity} is missing")
    changes = (np.flatnonzero((entity[1:] != entity[:-1]).to_numpy()) + 1).tolist()
    # An entity that comes back would be taken for another series, without the rows that it had before.
    if changes and entity.gather([0, *changes]).n_unique() != len(changes) + 1:
        raise FeatureError(f"column {spec.entity}: the rows of an entity are apart; sort by {spec.entity}, {spec.time}")
    return [0, *changes, table.height]


def _row(spec: FeatureSpec, table: pl.DataFrame, row: int) -> str:
    keys: dict[str, Any] = {key: table[key][row] for key in (spec.entity, spec.time) if key}
    return f"row {row + 1} ({', '.join(f'{key} {value}' for key, value in keys.items())})"
