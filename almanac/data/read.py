"""Reading the bytes of a source as a typed table, with errors that name column and row.

Rows are numbered from 1 in the order of the source; the header of a CSV file does not count.
"""

from collections.abc import Iterable

import polars as pl

from almanac.core.errors import TableError
from almanac.data.bundle import unbundle
from almanac.data.compression import decompress
from almanac.data.file_names import with_name
from almanac.data.numbers import to_numbers
from almanac.data.resample import resample
from almanac.data.shape import shaped
from almanac.data.times import columns_of, parse_time
from almanac.usecase import UseCase
from almanac.usecase.data_section import FORMATS, SOURCES, Read, Source
from almanac.usecase.shape_section import SHAPES, Shape

_SHOWN = 5


def read_table(source: Source, data: bytes, usecase: UseCase) -> pl.DataFrame:
    """Return the source's table: the time, the entity where it has one, and its declared columns.

    Returns:
        The time column as Datetime[us] in naive UTC, numbers as Float64, categories and the entity as String;
        the rows in the order of the source.

    Raises:
        SourceError: the bytes cannot be read as what they are declared to be.
        TableError: a column is missing, undeclared or of another type, or a time cannot be read.
    """
    location, read = f"sources.{source.name}", _effective(source, usecase.time.zone)
    raw = _raw(source, read, data, location)
    if raw.is_empty():
        raise TableError(f"{location}: has no rows")
    raw = shaped(reshape(raw, read.shape, location), read, location)
    entity = next((old for old, new in read.rename.items() if new == usecase.entity), usecase.entity)
    time = parse_time(raw, read.time, usecase.time.column, location, entity)
    rest = _renamed(raw, read, usecase, location)
    columns = {name: _typed(rest[name], usecase, read, location, time) for name in rest.columns}
    names = (usecase.entity, *usecase.columns, *join_keys(usecase))
    typed = pl.DataFrame([time, *(columns[name] for name in dict.fromkeys(names) if name in columns)])
    if read.resample is None:
        return typed
    entity = usecase.entity if usecase.entity in typed.columns else None
    return resample(typed, read.resample, usecase.time.column, entity, location, usecase.time.grid)


def join_keys(usecase: UseCase) -> list[str]:
    """Return the columns by which sources are joined, besides entity and time; they need no declaration."""
    keys = (name for source in usecase.sources if source.join is not None for name in source.join.keys)
    return list(dict.fromkeys(keys))


def _effective(source: Source, zone: str | None) -> Read:
    """Return the section `read`, with the format that the source's kind decides on, and the zone of the use case."""
    read, form = source.read, SOURCES[source.type].format
    if read.time.zone is None and zone is not None:
        read = read.model_copy(update={"time": read.time.model_copy(update={"zone": zone})})
    return read if form is None else read.model_copy(update={"format": form, "delimiter": ","})


def _raw(source: Source, read: Read, data: bytes, location: str) -> pl.DataFrame:
    """Return the raw table of a source's file, or of its files one below the other."""
    if not source.several:
        return parse(read, decompress(read, data, location), location)
    tables: dict[str, pl.DataFrame] = {}
    for name, content in unbundle(data):
        shown = f"{location}: {name}"
        table = with_name(parse(read, decompress(read, content, shown), shown), name, read.from_name, shown)
        first, known = next(iter(tables.items()), (name, table))
        if table.columns != known.columns and (odd := sorted(set(table.columns) ^ set(known.columns))):
            raise TableError(
                f"{shown}: its columns are not those of {first}: only one of them has {', '.join(map(repr, odd))}"
            )
        tables[name] = table.select(known.columns)
    # An integer column of one file may have fractions, or no value, in another.
    return pl.concat(tables.values(), how="vertical_relaxed")


def reshape(table: pl.DataFrame, steps: Iterable[Shape], location: str) -> pl.DataFrame:
    """Return a raw table after the declared steps.

    Raises:
        TableError: a step does not suit the table; its number is named.
    """
    for number, step in enumerate(steps):
        try:
            table = SHAPES[step.step].apply(table, step)
        except (ValueError, pl.exceptions.PolarsError) as error:
            reason = str(error).splitlines()[0]
            raise TableError(f"{location}.read.shape.{number} ({step.step}): {reason}") from None
    return table


def parse(read: Read, data: bytes, location: str) -> pl.DataFrame:
    """Return the raw table in decompressed bytes, which are called `location` in errors.

    Raises:
        TableError: they are empty, or cannot be read in their format.
    """
    if not data.strip():
        raise TableError(f"{location}: is empty")
    try:
        table: pl.DataFrame = FORMATS[read.format].parse(data, read)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise TableError(f"{location}: cannot be read as {read.format}: {str(error).splitlines()[0]}") from None
    return table


def _renamed(raw: pl.DataFrame, read: Read, usecase: UseCase, location: str) -> pl.DataFrame:
    """Return the columns under their declared names; one that is missing or undeclared is an error."""
    time = read.time
    used = set(columns_of(time))
    # A column of the time that is renamed is kept as a column besides.
    dropped = (set(read.drop) | used) - read.rename.keys()
    if gone := sorted(read.rename.keys() - set(raw.columns)):
        raise TableError(
            f"{location}: column {', '.join(map(repr, gone))} is missing; there is {', '.join(raw.columns)}"
        )
    rest = raw.select(name for name in raw.columns if name not in dropped)
    try:
        rest = rest.rename(read.rename)
    except pl.exceptions.DuplicateError:
        raise TableError(f"{location}.read.rename: gives a name that another column of the source has") from None
    declared = {*usecase.columns, usecase.entity, *join_keys(usecase)}
    if read.others == "drop":
        return rest.select(name for name in rest.columns if name in declared)
    if extra := [name for name in rest.columns if name not in declared]:
        raise TableError(
            f"{location}: column {', '.join(map(repr, extra))} is not declared; "
            "declare it under 'columns', rename it in 'read.rename', or list it in 'read.drop'"
        )
    return rest


def _typed(column: pl.Series, usecase: UseCase, read: Read, location: str, time: pl.Series) -> pl.Series:
    location = f"{location}: column {column.name!r}"
    if column.name in read.values:
        return _mapped(_texts(column, location), read.values[column.name], location, time)
    declared = usecase.columns.get(column.name)
    if column.name == usecase.entity or declared is None or declared.type in ("category", "text"):
        return _texts(column, location)
    return _numbers(column, declared.type, read, location, time)


def _texts(column: pl.Series, location: str) -> pl.Series:
    # A column of missing values only has the type Null.
    if column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null) or column.dtype.is_integer():
        return column.cast(pl.String)
    raise TableError(f"{location}: has type {column.dtype}, and should hold texts")


def _numbers(column: pl.Series, declared: str, read: Read, location: str, time: pl.Series) -> pl.Series:
    if column.dtype != pl.String and (declared == "date" or not (column.dtype.is_numeric() or column.dtype in _ALIKE)):
        if declared == "date" and column.dtype in (pl.Date, pl.Datetime):
            return column.cast(pl.Date).to_physical().cast(pl.Float64)
        raise TableError(f"{location}: has type {column.dtype}, and should hold {_HELD.get(declared, 'numbers')}")
    if column.dtype != pl.String:
        # A NaN in a file means a missing value, as an empty field does.
        return column.cast(pl.Float64).fill_nan(None)
    if not FORMATS[read.format].textual and declared != "date":
        raise TableError(f"{location}: has type {column.dtype}, and should hold numbers ({declared})")
    numbers, problem = to_numbers(column, declared, read)
    _refuse(column, numbers.is_null() & column.is_not_null(), problem, location, time)
    return numbers.fill_nan(None)


_ALIKE = (pl.Boolean, pl.Null)
_HELD = {"date": "dates", "boolean": "true and false"}


def _mapped(column: pl.Series, values: dict[str, float], location: str, time: pl.Series) -> pl.Series:
    numbers = column.replace_strict(values, default=None, return_dtype=pl.Float64)
    problem = f"none of those in 'read.values': {', '.join(values)}"
    _refuse(column, numbers.is_null() & column.is_not_null(), problem, location, time)
    return numbers


def _refuse(column: pl.Series, wrong: pl.Series, problem: str, location: str, time: pl.Series) -> None:
    if count := int(wrong.sum()):
        rows = [f"row {i + 1} ({time[i]}) {column[i]!r}" for i in wrong.arg_true()[:_SHOWN].to_list()]
        more = ", …" if count > len(rows) else ""
        raise TableError(f"{location}: {count} value{'s' * (count != 1)} {problem}: {', '.join(rows)}{more}")
