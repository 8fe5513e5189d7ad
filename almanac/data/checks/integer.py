"""An integer must be a whole number."""

from typing import Any

import polars as pl

from almanac.data.checks._values import value_check
from almanac.usecase.column_section import Column


def _constraint(column: Column) -> Any:
    import pandera.polars as pa

    if column.type != "integer":
        return None
    return pa.Check(lambda data: data.lazyframe.select(pl.col(data.key) % 1 == 0))


KIND = value_check("integer", _constraint, lambda column: "not whole")
