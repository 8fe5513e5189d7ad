"""JSON lines: one object a row."""

import polars as pl

from almanac.data.formats import FormatKind
from almanac.usecase.data_section import Read


def _parse(data: bytes, read: Read) -> pl.DataFrame:
    strings = pl.selectors.string()
    missing = strings.is_in([*read.null_values, ""])
    # All rows decide on the types: a column of whole numbers may have its first fraction after a hundred rows.
    return pl.read_ndjson(data, infer_schema_length=None).with_columns(pl.when(~missing).then(strings).name.keep())


KIND = FormatKind("jsonl", _parse, textual=True)
