"""CSV with a header, read as texts, so that every malformed value can be named with its row."""

import csv
import io

import polars as pl

from almanac.data.formats import FormatKind
from almanac.usecase.data_section import Read


def _parse(data: bytes, read: Read) -> pl.DataFrame:
    try:
        # Inferred types would turn a malformed value into a missing one, or a code such as 007 into 7.
        return pl.read_csv(data, separator=read.delimiter, infer_schema=False, null_values=read.null_values)
    except pl.exceptions.PolarsError as error:
        raise ValueError(_too_long(data, read.delimiter) or str(error).splitlines()[0]) from None


def _too_long(data: bytes, delimiter: str) -> str:
    """Return a message on the first row with more fields than the header, which Polars does not name."""
    # Only the fields are counted, so that a byte that is no text may be replaced.
    rows = csv.reader(io.StringIO(data.decode(errors="replace"), newline=""), delimiter=delimiter)
    try:
        width = len(next(rows, []))
        for number, row in enumerate(rows, 1):
            if len(row) > width:
                return f"row {number} has {len(row)} fields, and the header has {width}"
    except csv.Error:
        pass
    return ""


KIND = FormatKind("csv", _parse, textual=True)
