"""A number must be finite."""

from typing import Any

import polars as pl

from almanac.data.checks._values import value_check
from almanac.usecase.column_section import Column


def _constraint(column: Column) -> Any:
    import pandera.polars as pa

    if column.type in ("category", "text"):
        return None
    return pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_finite()))


KIND = value_check("finite", _constraint, lambda column: "infinite")
