"""From the bytes of a source to a typed table, with errors that name column and row.

Rows are numbered from 1, as the source gives them; a CSV file's header does not count.
"""

import csv
import gzip
import io
import lzma
import zipfile
import zlib
from typing import assert_never

import polars as pl

from almanac.core.errors import SourceError, TableError
from almanac.data.sources.package import member
from almanac.data.times import parse_time
from almanac.usecase import UseCase
from almanac.usecase.data_section import Column, Read, Source

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
    place = f"sources.{source.name}"
    raw = _parse(source.read, decompress(source.read, data, place), place, _kind(source))
    if raw.is_empty():
        raise TableError(f"{place}: has no rows")
    time = parse_time(raw, source.read.time, usecase.time.column, place)
    rest = _named(raw, source.read, usecase, place)
    columns = [_typed(rest[name], usecase, source, time) for name in rest.columns]
    entity = [column for column in columns if column.name == usecase.entity]
    order = {name: index for index, name in enumerate(usecase.columns)}
    declared = sorted((c for c in columns if c.name != usecase.entity), key=lambda column: order[column.name])
    return pl.DataFrame([time, *entity, *declared])


def decompress(read: Read, data: bytes, place: str) -> bytes:
    """Return the bytes of the table itself.

    Raises:
        SourceError: they are not compressed as declared, or are damaged.
    """
    try:
        match read.compression:
            case "gzip":
                return gzip.decompress(data)
            case "xz":
                return lzma.decompress(data)
            case "zip":
                return _unzip(read, data, place)
            case "none":
                return data
            case _:
                assert_never(read.compression)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{place}.read.compression: cannot be read as {read.compression}: {error}") from None


def _unzip(read: Read, data: bytes, place: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        if read.member is None and len(names) != 1:
            raise SourceError(f"{place}.read.member: name one of the archive's members: {', '.join(names)}")
        return member(archive, read.member or names[0], place)


def _kind(source: Source) -> str:
    """Return the file format; the answer of a database comes as CSV."""
    return "csv" if source.type == "sql" else source.read.format


def _parse(read: Read, data: bytes, place: str, kind: str) -> pl.DataFrame:
    """Return the raw table; CSV and JSON lines as texts, so that every wrong value can be named."""
    if not data.strip():
        raise TableError(f"{place}: is empty")
    delimiter = "," if kind != read.format else read.delimiter
    try:
        if kind == "parquet":
            return pl.read_parquet(data)
        if kind == "jsonl":
            raw = pl.read_ndjson(data, infer_schema_length=None)
            return _without_nulls(raw, read.null_values)
        return pl.read_csv(data, separator=delimiter, infer_schema=False, null_values=read.null_values)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = (_too_long(data, delimiter) if kind == "csv" else "") or str(error).splitlines()[0]
        raise TableError(f"{place}: cannot be read as {kind}: {reason}") from None


def _too_long(data: bytes, delimiter: str) -> str:
    """Tell the first row of a CSV file that has more fields than the header, which the reader does not name."""
    rows = csv.reader(io.StringIO(data.decode(errors="replace"), newline=""), delimiter=delimiter)
    try:
        header = len(next(rows, []))
        found = next(((number, len(row)) for number, row in enumerate(rows, 1) if len(row) > header), None)
    except csv.Error:
        return ""
    return f"row {found[0]} has {found[1]} fields, and the header has {header}" if found else ""


def _without_nulls(raw: pl.DataFrame, texts: list[str]) -> pl.DataFrame:
    strings = pl.selectors.string()
    return raw.with_columns(pl.when(~strings.is_in([*texts, ""])).then(strings).name.keep())


def _named(raw: pl.DataFrame, read: Read, usecase: UseCase, place: str) -> pl.DataFrame:
    """Return the columns by their declared names; a missing or an undeclared one is an error."""
    time = read.time
    used = {time.column} if time.column else set((time.parts or {}).values())
    unwanted = (set(read.drop) | used) - read.rename.keys()
    if gone := sorted(read.rename.keys() - set(raw.columns)):
        raise TableError(f"{place}: column {', '.join(map(repr, gone))} is missing; there is {', '.join(raw.columns)}")
    rest = raw.select(name for name in raw.columns if name not in unwanted)
    try:
        rest = rest.rename(read.rename)
    except pl.exceptions.DuplicateError:
        raise TableError(f"{place}.read.rename: gives a name that another column of the source has") from None
    known = {*usecase.columns, usecase.entity}
    if extra := [name for name in rest.columns if name not in known]:
        raise TableError(
            f"{place}: column {', '.join(map(repr, extra))} is not declared; "
            "declare it under 'columns', rename it in 'read.rename', or list it in 'read.drop'"
        )
    return rest


def _typed(column: pl.Series, usecase: UseCase, source: Source, time: pl.Series) -> pl.Series:
    place = f"sources.{source.name}: column {column.name!r}"
    if column.name == usecase.entity:
        return _texts(column, place)
    declared = usecase.columns[column.name]
    if column.name in source.read.values:
        return _mapped(_texts(column, place), source.read.values[column.name], place, time)
    if declared.type == "category":
        return _texts(column, place)
    return _numbers(column, declared, source, place, time)


def _texts(column: pl.Series, place: str) -> pl.Series:
    if column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null) or column.dtype.is_integer():
        return column.cast(pl.String)
    raise TableError(f"{place}: has type {column.dtype}, and should hold texts")


def _numbers(column: pl.Series, declared: Column, source: Source, place: str, time: pl.Series) -> pl.Series:
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64).fill_nan(None)
    if column.dtype != pl.String or source.read.format == "parquet":
        raise TableError(f"{place}: has type {column.dtype}, and should hold numbers ({declared.type})")
    numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
    _refuse(column, numbers.is_null() & column.is_not_null(), "not a number", place, time)
    return numbers.fill_nan(None)


def _mapped(column: pl.Series, values: dict[str, float], place: str, time: pl.Series) -> pl.Series:
    numbers = column.replace_strict(values, default=None, return_dtype=pl.Float64)
    known = f"none of those in 'read.values': {', '.join(values)}"
    _refuse(column, numbers.is_null() & column.is_not_null(), known, place, time)
    return numbers


def _refuse(column: pl.Series, wrong: pl.Series, what: str, place: str, time: pl.Series) -> None:
    if count := int(wrong.sum()):
        rows = [f"row {i + 1} ({time[i]}) {column[i]!r}" for i in wrong.arg_true()[:_SHOWN].to_list()]
        more = ", …" if count > len(rows) else ""
        raise TableError(f"{place}: {count} value{'s' * (count != 1)} {what}: {', '.join(rows)}{more}")
