"""Columns that are computed from others of their row, once the sources are joined."""

from typing import assert_never

import polars as pl

from almanac.core.errors import TableError
from almanac.usecase import UseCase
from almanac.usecase.column_section import Derived


def derive(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    """Return the table with the declared derived columns, a missing value gives a missing one.

    Raises:
        TableError: a source has a column of the same name, or none has an operand.
    """
    waiting = {name: column.derived for name, column in usecase.columns.items() if column.derived is not None}
    if twice := [name for name in waiting if name in table.columns]:
        raise TableError(f"column {twice[0]!r} is derived, and comes from a source too; rename one")
    while waiting:
        # A column may be derived from another; their declarations come in any order.
        ready = {name: one for name, one in waiting.items() if _operands(one) <= set(table.columns)}
        if not ready:
            name, one = next(iter(waiting.items()))
            missing = ", ".join(sorted(_operands(one) - set(table.columns)))
            raise TableError(f"column {name!r} is derived from {missing}, which no source gives")
        values = {name: _value(one) for name, one in ready.items()}
        # No infinity: a logarithm or a quotient of zero is missing.
        table = table.with_columns(pl.when(value.is_finite()).then(value).alias(name) for name, value in values.items())
        waiting = {name: one for name, one in waiting.items() if name not in ready}
    return table


def _operands(derived: Derived) -> set[str]:
    return {name for name in (derived.left, derived.right) if isinstance(name, str)}


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
