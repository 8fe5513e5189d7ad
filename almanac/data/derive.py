"""Columns that are computed from others of their row, once the sources are joined."""

from typing import assert_never

import polars as pl

from almanac.core.errors import TableError
from almanac.usecase import UseCase
from almanac.usecase.data_section import Derived


def derive(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    """Return the table with the declared derived columns, in the order of their declarations; missing gives missing.

    Raises:
        TableError: a source has a column of the same name.
    """
    for name, column in usecase.columns.items():
        if column.derived is None:
            continue
        if name in table.columns:
            raise TableError(f"column {name!r} is derived, and comes from a source too; rename one")
        value = _value(column.derived)
        # No infinity: a logarithm or a quotient of zero is missing.
        table = table.with_columns(pl.when(value.is_finite()).then(value).alias(name))
    return table


def _value(derived: Derived) -> pl.Expr:
    left = pl.col(derived.left)
    right = pl.col(derived.right) if isinstance(derived.right, str) else pl.lit(derived.right, pl.Float64)
    match derived.operation:
        case "sum":
            return left + right
        case "difference":
            return left - right
        case "product":
            return left * right
        case "ratio":
            return left / right
        case "greater":
            return (left > right).cast(pl.Float64)
        case "log":
            return left.log()
        case "us_odds":
            # The vig-free probability of the left side: each price implies one, and together they exceed 1.
            first, second = (_implied(side) for side in (left, right))
            return first / (first + second)
        case _:
            assert_never(derived.operation)


def _implied(price: pl.Expr) -> pl.Expr:
    """Return the probability that a price in US odds implies."""
    return pl.when(price < 0).then(-price / (100.0 - price)).otherwise(100.0 / (100.0 + price))
