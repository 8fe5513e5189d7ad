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
    return raw if read.pair is None else _paired(raw, read.pair, f"{location}.read.pair")


def _paired(raw: pl.DataFrame, pair: Pair, location: str) -> pl.DataFrame:
    """Return one row for each key: the first role's, with the columns of each role under a prefix."""
    _require(raw, [pair.by, pair.role, *pair.columns], location)
    keys = raw[pair.by]
    parts = [raw.filter(pl.col(pair.role).cast(pl.String) == value) for value in pair.roles.values()]
    for (name, value), part in zip(pair.roles.items(), parts, strict=True):
        # A file that holds an event once for each of its sources would pair a row with another source's.
        if (twice := part.filter(part[pair.by].is_duplicated())).height:
            raise TableError(
                f"{location}: {twice[pair.by][0]} has more than one row with {pair.role} {value} ({name}); "
                "choose one of them by read.only"
            )
    if alone := sorted(set(keys.to_list()) - set(parts[0][pair.by]).intersection(*(set(p[pair.by]) for p in parts))):
        raise TableError(f"{location}: {len(alone)} keys lack a row of some role, first: {alone[0]}")
    joined = parts[0].with_row_index(_ROW)
    for name, part in zip(pair.roles, parts, strict=True):
        side = part.select(pair.by, *(pl.col(column).alias(f"{name}_{column}") for column in pair.columns))
        joined = joined.join(side, on=pair.by, how="left", maintain_order="left")
    return joined.drop(_ROW, pair.role, *(column for column in pair.columns if column != pair.by))


def _require(raw: pl.DataFrame, names: list[str], location: str) -> None:
    if missing := [name for name in names if name not in raw.columns]:
        raise TableError(f"{location}: column {missing[0]!r} is missing; there is {', '.join(raw.columns)}")
