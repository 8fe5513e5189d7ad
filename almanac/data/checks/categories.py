"""A category must have one of its declared values."""

from typing import Any

from almanac.core.levels import is_open, some
from almanac.data.checks._values import value_check
from almanac.usecase.column_section import Column


def _constraint(column: Column) -> Any:
    import pandera.polars as pa

    # Levels without a list are learned, and an open list has a bucket for any other.
    return None if column.categories is None or is_open(column.categories) else pa.Check.isin(column.categories)


KIND = value_check("categories", _constraint, lambda column: f"none of {some(column.categories or [])}")
