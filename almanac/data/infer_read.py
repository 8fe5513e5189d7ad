"""Inference of the section `read`: format, delimiter, decimal mark, header of a sheet, missing values."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any, Literal

import polars as pl

from almanac.core.errors import TableError
from almanac.core.levels import some
from almanac.data.bundle import unbundle
from almanac.data.compression import decompress
from almanac.data.infer_margins import without_margins
from almanac.data.infer_numbers import MISSING, Decimal, marks_of
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
_COMPRESSIONS: dict[str, Literal["gzip", "bz2", "xz", "zip", "zstd"]] = {
    **{"gz": "gzip", "bz2": "bz2", "xz": "xz", "zip": "zip", "zst": "zstd"},
}
#: Rows of a sheet among which its header is looked for.
_TOP = 20


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
    read = given or _by_name(_named_by_member(path, data))
    content = decompress(read, data, str(path))
    if given is None and read.format == "csv":
        read = read.model_copy(update=_of_text(content))
    if read.format == "excel":
        read = read.model_copy(update=_of_sheet(content, path))
    raw = parse(read, content, str(path))
    if raw.is_empty():
        raise TableError(f"{path}: has no rows")
    if nested := _unnested(raw, path):
        read = read.model_copy(update={"shape": nested})
        raw = reshape(raw, read.shape, str(path))
    if not FORMATS[read.format].textual:
        return read, raw
    if (step := without_margins(raw)) is not None:
        read = read.model_copy(update={"shape": [*read.shape, step]})
        raw = reshape(raw, read.shape, str(path))
    read = read.model_copy(update=marks_of(raw, decimal, path))
    if markers := sorted({mark for column in raw for mark in _markers(column, read)}):
        read = read.model_copy(update={"null_values": markers})
        raw = reshape(parse(read, content, str(path)), read.shape, str(path))
    return read, raw


def _unnested(raw: pl.DataFrame, path: Path) -> list[Any]:
    """Return the steps that make columns of the fields of objects, such as readings_flow of readings: {flow: 1.5}."""
    from almanac.data.shapes.explode import Explode

    steps: list[Any] = []
    while objects := [column.name for column in raw if column.dtype == pl.Struct]:
        new = [Explode(step="explode", column=name, prefix=f"{name}_") for name in objects]
        steps += new
        raw = reshape(raw, new, str(path))
    return steps


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


def _by_name(path: Path) -> Read:
    *_, before, last = ["", "", *(suffix[1:].lower() for suffix in path.suffixes)]
    compression = _COMPRESSIONS.get(last)
    form = _FORMATS.get(before if compression else last)
    if form is None:
        raise TableError(
            f"{path}: expected a name that ends in .{', .'.join(_FORMATS)}, or in .{', .'.join(_COMPRESSIONS)} after it"
        )
    # Replaced once the time is known; the section cannot be made without one.
    return Read(format=form, compression=compression or "none", time=TimeFormat(column="unknown"))


def _named_by_member(path: Path, data: bytes) -> Path:
    """Return the path of an archive with the suffix of its only member before its own, where its name has none."""
    if path.suffix.lower() != ".zip" or is_table(path):
        return path
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [Path(info.filename) for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise TableError(f"{path}: cannot be read as zip: {error}") from None
    if len(members) != 1:
        raise TableError(f"{path}: holds {len(members)} files; expected one: {some(map(str, members))}")
    return path.with_suffix(f"{members[0].suffix}.zip")


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
    """Return the first sheet that has a header, and the number of rows above it.

    A header is the first row of at least two texts that differ, with a row below it.
    """
    import fastexcel

    try:
        book = fastexcel.read_excel(content)
        for name in book.sheet_names:
            top = book.load_sheet(name, header_row=None, n_rows=_TOP, dtypes="string").to_polars()
            for row, values in enumerate(top.iter_rows()):
                present = [value for value in values if value not in (None, "")]
                if len(present) > 1 and len(set(present)) == len(present) and not any(map(_is_number, present)):
                    # Other sheets are left out, which the proposal says.
                    sheet = {"table": name} if len(book.sheet_names) > 1 else {}
                    return {"skip_rows": row, **sheet, **({"header_rows": 2} if _is_merged(top, row) else {})}
    except fastexcel.FastExcelError as error:
        raise TableError(f"{path}: cannot be read as excel: {str(error).splitlines()[0]}") from None
    names = ", ".join(map(repr, book.sheet_names))
    raise TableError(
        f"{path}: no sheet has a header in its first {_TOP} rows, a row of two or more names; there is {names}"
    )


def _is_merged(top: pl.DataFrame, row: int) -> bool:
    """Return whether the row below a header holds names too: under merged cells, and none of them a number."""
    if row + 2 >= top.height:
        return False
    above, below = top.row(row), top.row(row + 1)
    names = [text for text in below if text not in (None, "")]
    merged = any(text not in (None, "") for name, text in zip(above, below, strict=True) if name in (None, ""))
    return merged and len(names) > 1 and not any(re.search(r"\d{4}|^[+-]?[\d.,]+$", text) for text in names)


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
