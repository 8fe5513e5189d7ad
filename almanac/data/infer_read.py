"""Inference of the section `read`: format, delimiter, decimal mark, header of a sheet, missing values, wide columns."""

import re
from pathlib import Path
from typing import Any, Literal

import polars as pl

from almanac.core.errors import TableError
from almanac.data.bundle import unbundle
from almanac.data.compression import decompress
from almanac.data.infer_margins import without_margins
from almanac.data.infer_numbers import MISSING, Decimal, marks_of
from almanac.data.infer_time import is_time
from almanac.data.numbers import to_numbers
from almanac.data.read import parse, reshape
from almanac.usecase.data_section import FORMATS, Read, TimeFormat

_FORMATS = {
    **dict.fromkeys(("csv", "tsv", "txt"), "csv"),
    **dict.fromkeys(("xlsx", "xls", "ods"), "excel"),
    **dict.fromkeys(("jsonl", "ndjson"), "jsonl"),
    **dict.fromkeys(("rds", "rda", "rdata"), "rdata"),
    "parquet": "parquet",
}
_COMPRESSIONS: dict[str, Literal["gzip", "bz2", "xz", "zip"]] = {"gz": "gzip", "bz2": "bz2", "xz": "xz", "zip": "zip"}
#: Rows of a sheet among which its header is looked for, and fewest columns of one name with a number to be melted.
_TOP, _FEWEST_WIDE = 20, 8
_NUMBERED = re.compile(r"^(?P<stem>.*?[^\d])(?P<number>\d+)$")


def infer_read(
    path: Path, data: bytes, given: Read | None = None, decimal: Decimal | None = None
) -> tuple[Read, pl.DataFrame]:
    """Return how the bytes of a table are read, and the table.

    Args:
        path: Path of the table; its suffixes name format and compression.
        data: Bytes of the file.
        given: How they are read where their place decides on it.
        decimal: Decimal mark of numbers, inferred when None.

    Raises:
        SourceError: the bytes are not compressed as the suffix says.
        TableError: the format is unknown, the bytes are none of it, or a number has two readings.
    """
    if given is None and path.is_dir():
        return _of_directory(data, path, decimal)
    read = given or _by_name(path)
    content = decompress(read, data, str(path))
    if given is None and read.format == "csv":
        read = read.model_copy(update=_of_text(content))
    if read.format == "excel":
        read = read.model_copy(update=_of_sheet(content, path))
    raw = parse(read, content, str(path))
    if raw.is_empty():
        raise TableError(f"{path}: has no rows")
    if not FORMATS[read.format].textual:
        return read, raw
    if (step := without_margins(raw)) is not None:
        read = read.model_copy(update={"shape": [step]})
        raw = reshape(raw, read.shape, str(path))
    read = read.model_copy(update=marks_of(raw, decimal, path))
    if markers := sorted({mark for column in raw for mark in _markers(column, read)}):
        read = read.model_copy(update={"null_values": markers})
        raw = reshape(parse(read, content, str(path)), read.shape, str(path))
    return read, raw


def is_table(path: Path) -> bool:
    """Return whether a file's name says that it holds a table."""
    *_, before, last = ["", "", *(suffix[1:].lower() for suffix in path.suffixes)]
    return (before if last in _COMPRESSIONS else last) in _FORMATS


def _of_directory(data: bytes, path: Path, decimal: Decimal | None) -> tuple[Read, pl.DataFrame]:
    """Return how the files of a directory are read, by the first of them, and their rows below each other."""
    files = list(unbundle(data))
    read, _ = infer_read(path / Path(files[0][0]).name, files[0][1], decimal=decimal)
    tables = [reshape(parse(read, decompress(read, content, name), name), read.shape, name) for name, content in files]
    try:
        return read, pl.concat(tables, how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        raise TableError(f"{path}: its files have not the same columns: {str(error).splitlines()[0]}") from None


def melted(raw: pl.DataFrame, time: str, path: Path) -> tuple[list[Any], pl.DataFrame] | None:
    """Return the step from a column for each machine to a row for each, and the table after it; None if it has none.

    Args:
        raw: The table as read.
        time: Its time column.
        path: Path of the table, for errors.
    """
    stems: dict[str, list[str]] = {}
    for column in raw.drop(time):
        if (match := _NUMBERED.match(column.name)) and not is_time(column):
            stems.setdefault(match["stem"], []).append(column.name)
    stem, wide = max(stems.items(), key=lambda item: len(item[1]), default=("", []))
    # Other columns would be repeated for each machine, and may be anything.
    if len(wide) < _FEWEST_WIDE or len(wide) < raw.width - 1 or raw[time].is_duplicated().any():
        return None
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_") or "name"
    from almanac.data.shapes.melt import Melt

    value = "value" if name != "value" else "number"
    step = Melt(step="melt", keep=[time], columns=f"{re.escape(stem)}\\d+", name=name, value=value)
    return [step], reshape(raw, [step], str(path))


def _by_name(path: Path) -> Read:
    *_, before, last = ["", "", *(suffix[1:].lower() for suffix in path.suffixes)]
    compression = _COMPRESSIONS.get(last)
    form = _FORMATS.get(before if compression else last)
    if form is None:
        raise TableError(
            f"{path}: expected a name that ends in .{', .'.join(_FORMATS)}, or in .gz, .bz2, .xz or .zip after it"
        )
    # Replaced once the time is known; the section cannot be made without one.
    return Read(format=form, compression=compression or "none", time=TimeFormat(column="unknown"))


def _of_text(content: bytes) -> dict[str, Any]:
    encoding = "utf-8"
    try:
        text = content[:100_000].decode(encoding, errors="strict" if len(content) <= 100_000 else "ignore")
        content.decode(encoding)
    except UnicodeDecodeError:
        encoding, text = "windows-1252", content[:100_000].decode("windows-1252", errors="replace")
    header = text.split("\n", 1)[0]
    found: dict[str, Any] = {"delimiter": max(",;\t|", key=header.count)}
    return found if encoding == "utf-8" else {**found, "encoding": encoding}


def _of_sheet(content: bytes, path: Path) -> dict[str, Any]:
    """Return the sheet and the number of rows above its header: the first row of at least two texts that differ."""
    import fastexcel

    try:
        book = fastexcel.read_excel(content)
        name = book.sheet_names[0]
        top = book.load_sheet(name, header_row=None, n_rows=_TOP, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        raise TableError(f"{path}: cannot be read as excel: {str(error).splitlines()[0]}") from None
    for row, values in enumerate(top.iter_rows()):
        present = [value for value in values if value not in (None, "")]
        if len(present) > 1 and len(set(present)) == len(present) and not any(map(_is_number, present)):
            # Sheets after the first are left out, which the proposal says.
            return {"skip_rows": row, **({"table": name} if len(book.sheet_names) > 1 else {})}
    raise TableError(f"{path}: the sheet {name!r} has no header in its first {_TOP} rows: a row of two or more names")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[\d.,]+", text.strip()) is not None


def as_numbers(column: pl.Series, read: Read) -> pl.Series:
    """Return a column as Float64, null where a value is no number."""
    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False)
    return to_numbers(column, "float", read)[0]


def _markers(column: pl.Series, read: Read) -> set[str]:
    """Return the texts for a missing value in a column that holds only numbers besides."""
    if column.dtype != pl.String:
        return set()
    values = column.drop_nulls()
    odd = values.filter(as_numbers(values, read).is_null())
    marks = set(odd.unique())
    return marks if marks <= MISSING and odd.len() < values.len() else set()
