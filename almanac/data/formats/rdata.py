"""R data files (.rda, .RData, .rds) with data frames and matrices; a column of data frames becomes rows."""

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from almanac.data.formats import FormatKind
from almanac.usecase.data_section import Read

if TYPE_CHECKING:
    import pandas as pd


def _parse(data: bytes, read: Read) -> pl.DataFrame:
    return _table(data, read.table, frozenset(read.drop))


# Several sources may be views of one file, which takes seconds to read.
@lru_cache(maxsize=1)
def _objects(data: bytes) -> dict[str, Any]:
    try:
        import rdata
    except ImportError as error:
        raise ValueError("needs the package rdata, which is not installed here") from error
    with warnings.catch_warnings():
        # Classes without a Python equivalent, such as tibbles, are read as what they are made of.
        warnings.simplefilter("ignore")
        try:
            found = rdata.conversion.convert(rdata.parser.parse_data(data))
        # The library raises errors of many types for a damaged file.
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from None
    # An .rds file holds one object without a name.
    return found if isinstance(found, dict) else {"object": found}


def _chosen(data: bytes, name: str | None) -> Any:
    found = _objects(data)
    if name is None and len(found) != 1:
        raise ValueError(f"holds {len(found)} objects; name one in 'read.table': {', '.join(found) or '(none)'}")
    if name is not None and name not in found:
        raise ValueError(f"holds no object {name!r}; there is {', '.join(found)}")
    return found[name or next(iter(found))]


@lru_cache(maxsize=2)
def _table(data: bytes, name: str | None, dropped: frozenset[str]) -> pl.DataFrame:
    made = _chosen(data, name)
    if hasattr(made, "columns"):
        return _rows(made, dropped)
    # A matrix with names is a DataArray of xarray, one without an array of NumPy.
    if getattr(made, "ndim", 0) != 2:
        raise ValueError(f"holds a {type(made).__name__}; expected a data frame or a matrix")
    names = [made.coords[dim].values if dim in made.coords else None for dim in getattr(made, "dims", ())]
    return _matrix(getattr(made, "values", made), *(names or [None, None]))


def _matrix(values: Any, rows: Any, columns: Any) -> pl.DataFrame:
    """Return a matrix with the names of its rows, or their numbers from 1, in the column `row`."""
    count, width = values.shape
    names = [str(name) for name in (range(1, width + 1) if columns is None else columns)]
    numbers = [str(name) for name in (range(1, count + 1) if rows is None else rows)]
    return pl.DataFrame([pl.Series("row", numbers), *(pl.Series(name, values[:, i]) for i, name in enumerate(names))])


def _rows(frame: "pd.DataFrame", dropped: frozenset[str]) -> pl.DataFrame:
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
