"""CSV with a header, read as texts, so that every malformed value can be named with its row."""

import csv
import io

import polars as pl

from almanac.data.formats import FormatKind
from almanac.usecase.data_section import Read


def _parse(data: bytes, read: Read) -> pl.DataFrame:
    text = _utf8(data, read.encoding)
    try:
        # Inferred types would turn a malformed value into a missing one, or a code such as 007 into 7.
        table = pl.read_csv(
            text,
            separator=read.delimiter,
            infer_schema=False,
            null_values=read.null_values,
            skip_lines=read.skip_rows,
        )
    except pl.exceptions.PolarsError as error:
        raise ValueError(_too_long(text, read) or str(error).splitlines()[0]) from None
    if table.width == 1 and (other := _delimiter(table.columns[0])) not in ("", read.delimiter):
        raise ValueError(
            f"the header {table.columns[0]!r} is one column with the delimiter {read.delimiter!r}; "
            f"set read.delimiter to {other!r}"
        )
    # Polars leaves the quotes within a quoted name doubled.
    return table.rename({name: name.replace('""', '"') for name in table.columns if '""' in name})


def _utf8(data: bytes, encoding: str) -> bytes:
    """Return a text in UTF-8.

    Raises:
        ValueError: it has another encoding; the first byte that shows it is named.
    """
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        hint = "" if encoding != "utf-8" else "; set read.encoding, to windows-1252 for a file of an older Windows"
        raise ValueError(f"line {line} is not in the encoding {encoding}{hint}") from None
    return data if encoding == "utf-8" else text.encode()


def _delimiter(header: str) -> str:
    """Return the delimiter that a header most likely has, "" for none."""
    return max((mark for mark in ",;\t|" if mark in header), key=header.count, default="")


def _too_long(data: bytes, read: Read) -> str:
    """Return a message on the first row with more fields than the header, which Polars does not name."""
    rows = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=read.delimiter)
    try:
        for _ in range(read.skip_rows):
            next(rows, None)
        width = len(next(rows, []))
        for number, row in enumerate(rows, 1):
            if len(row) > width:
                return f"row {number} has {len(row)} fields, and the header has {width}"
    except csv.Error:
        pass
    return ""


KIND = FormatKind("csv", _parse, textual=True)
