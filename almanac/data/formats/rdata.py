"""R data files with one data frame; a column of data frames becomes rows."""

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from almanac.data.formats import FormatKind
from almanac.usecase.data_section import Read

if TYPE_CHECKING:
    import pandas as pd


def _parse(data: bytes, read: Read) -> pl.DataFrame:
    return _table(data, frozenset(read.drop))


# Several sources may be views of one file, which takes seconds to read.
@lru_cache(maxsize=1)
def _frame(data: bytes) -> "pd.DataFrame":
    try:
        import rdata
    except ImportError as error:
        raise ValueError("needs the package rdata, which is not installed here") from error
    with warnings.catch_warnings():
        # Classes without a Python equivalent, such as tibbles, are read as what they are made of.
        warnings.simplefilter("ignore")
        found: dict[str, Any] = rdata.conversion.convert(rdata.parser.parse_data(data))
    if len(found) != 1:
        raise ValueError(f"holds the objects {', '.join(found) or '(none)'}; expected one data frame")
    frame: pd.DataFrame = next(iter(found.values()))
    return frame


@lru_cache(maxsize=2)
def _table(data: bytes, dropped: frozenset[str]) -> pl.DataFrame:
    frame = _frame(data)
    nested = [name for name in frame.columns if len(frame) and hasattr(frame[name].iloc[0], "columns")]
    outer = _flat(frame.drop(columns=nested)).with_row_index("__row__")
    for name in nested:
        # Tables that the use case drops need not be read.
        if name in dropped:
            outer = outer.with_columns(pl.lit(None).alias(name))
            continue
        parts = [
            _flat(inner).with_columns(pl.lit(row, pl.UInt32).alias("__row__")) for row, inner in enumerate(frame[name])
        ]
        outer = outer.join(pl.concat(parts, how="vertical_relaxed"), on="__row__", how="inner", maintain_order="left")
    return outer.drop("__row__")


def _flat(frame: "pd.DataFrame") -> pl.DataFrame:
    columns = {}
    for name in frame.columns:
        values = frame[name]
        numeric = values.dtype.kind in "iufb"
        # R's missing value is that of pandas in any type.
        plain = (
            values.astype("float64").to_numpy()
            if numeric
            else [None if gone else str(value) for value, gone in zip(values, values.isna(), strict=True)]
        )
        columns[str(name)] = pl.Series(plain, dtype=pl.Float64 if numeric else pl.String, nan_to_null=numeric)
    return pl.DataFrame(columns)


KIND = FormatKind("rdata", _parse, textual=True)
