"""A category must have one of its declared values."""

from typing import Any

from almanac.data.checks._values import value_check
from almanac.usecase.data_section import Column


def _constraint(column: Column) -> Any:
    import pandera.polars as pa

    return None if column.categories is None else pa.Check.isin(column.categories)


KIND = value_check("categories", _constraint, lambda column: f"none of {', '.join(column.categories or [])}")
