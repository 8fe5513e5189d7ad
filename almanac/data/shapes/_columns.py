"""Columns that steps name."""

from collections.abc import Iterable

import polars as pl

_SHOWN = 10


def require(table: pl.DataFrame, names: Iterable[str]) -> None:
    """Refuse names that the table lacks.

    Raises:
        ValueError: some are missing; the columns that there are are listed, ten at most.
    """
    if missing := [name for name in names if name not in table.columns]:
        more = f" and {table.width - _SHOWN} more" if table.width > _SHOWN else ""
        raise ValueError(
            f"column {', '.join(map(repr, missing))} is missing; there is {', '.join(table.columns[:_SHOWN])}{more}"
        )


def require_new(table: pl.DataFrame, names: Iterable[str]) -> None:
    """Refuse names that the table has already.

    Raises:
        ValueError: a column has the name.
    """
    if taken := [name for name in names if name in table.columns]:
        raise ValueError(f"there is a column {', '.join(map(repr, taken))} already; give another name")


def evaluate(table: pl.DataFrame, text: str) -> pl.Series:
    """Return the values of an SQL expression for each row.

    Raises:
        ValueError: it is no expression, does not suit the types of its columns, or computes a row from others.
    """
    try:
        expression = pl.sql_expr(text).alias("value")
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{text!r} is no SQL expression: {str(error).splitlines()[0]}") from None
    try:
        names = expression.meta.root_names()
        require(table, dict.fromkeys(names))
        values = _values(table, expression)
        # An aggregate or a window would carry later rows into earlier ones. Polars cannot tell them apart from
        # functions of a row, but they differ where only a part of the table is there.
        half = table.height // 2
        parts = [_values(part, expression) for part in (table.head(half), table.tail(-half)) if part.height]
    except pl.exceptions.PolarsError as error:
        why = str(error).splitlines()[0]
        raise ValueError(
            f"{text!r}: {why}; the columns of a text file are texts, which CAST(name AS DOUBLE) turns into numbers"
        ) from None
    if not pl.concat(parts).equals(values, null_equal=True):
        raise ValueError(
            f"{text!r} computes a row from other rows, and so from later ones; "
            "use columns of the same row, and features for the rows before"
        )
    return values


def _values(table: pl.DataFrame, expression: pl.Expr) -> pl.Series:
    # The first column gives a constant the length of the table.
    return table.select(pl.int_range(pl.len()).alias("__row__"), expression)["value"]
