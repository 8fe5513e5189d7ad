"""Shaping of a raw table before its columns are named and typed: rows chosen, rows of one event side by side."""

import polars as pl

from almanac.core.errors import TableError
from almanac.usecase.data_section import Pair, Read

_ROW = "__row__"


def shaped(raw: pl.DataFrame, read: Read, location: str) -> pl.DataFrame:
    """Return the rows that `read.only` asks for, and with `read.pair` one row for each key.

    Raises:
        TableError: a column is missing, no row is left, or a key has not exactly one row of each role.
    """
    for name, texts in read.only.items():
        _require(raw, [name], f"{location}.read.only")
        raw = raw.filter(pl.col(name).cast(pl.String).is_in(texts))
    if raw.is_empty():
        raise TableError(f"{location}.read.only: no row has these values")
    raw = combined(raw, read, location)
    return raw if read.pair is None else _paired(raw, read.pair, f"{location}.read.pair")


def combined(raw: pl.DataFrame, read: Read, location: str) -> pl.DataFrame:
    """Return a table with the columns that `read.combine` makes of several.

    Raises:
        TableError: a column is missing.
    """
    for name, columns in read.combine.items():
        _require(raw, columns, f"{location}.read.combine")
        parts = [pl.col(column).cast(pl.String) for column in columns]
        raw = raw.with_columns(pl.concat_str(parts, separator=" ").alias(name))
    return raw


def _paired(raw: pl.DataFrame, pair: Pair, location: str) -> pl.DataFrame:
    """Return one row for each key: that of `pair.first`, with the columns of each role under a prefix."""
    _require(raw, [pair.by, pair.role, *pair.columns], location)
    keys = raw[pair.by]
    parts = {name: raw.filter(pl.col(pair.role).cast(pl.String) == value) for name, value in pair.roles.items()}
    for name, part in parts.items():
        # A file that holds an event once for each of its sources would pair a row with another source's.
        if (twice := part.filter(part[pair.by].is_duplicated())).height:
            raise TableError(
                f"{location}: {twice[pair.by][0]} has more than one row with {pair.role} {pair.roles[name]} ({name}); "
                "choose one of them by read.only"
            )
    if alone := sorted(set(keys).difference(set(keys).intersection(*(set(part[pair.by]) for part in parts.values())))):
        raise TableError(f"{location}: {len(alone)} keys lack a row of some role, first: {alone[0]}")
    joined = parts[pair.first].with_row_index(_ROW)
    for name, part in parts.items():
        side = part.select(pair.by, *(pl.col(column).alias(f"{name}_{column}") for column in pair.columns))
        joined = joined.join(side, on=pair.by, how="left", maintain_order="left")
    return joined.drop(_ROW, pair.role, *(column for column in pair.columns if column != pair.by))


def _require(raw: pl.DataFrame, names: list[str], location: str) -> None:
    if missing := [name for name in names if name not in raw.columns]:
        raise TableError(f"{location}: column {missing[0]!r} is missing; there is {', '.join(raw.columns)}")
