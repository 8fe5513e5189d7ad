"""Parquet, with the types that the file declares."""

import polars as pl

from almanac.data.formats import FormatKind
from almanac.usecase.data_section import Read


def _parse(data: bytes, read: Read) -> pl.DataFrame:
    return pl.read_parquet(data)


KIND = FormatKind("parquet", _parse, textual=False)
