"""A category must have one of its declared values."""

from collections.abc import Iterator
from typing import Any

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.data.checks._values import check_values
from almanac.usecase.data_section import Column


def _find(subject: Subject) -> Iterator[Finding]:
    return check_values(
        subject, "categories", _constraint, lambda column: f"none of {', '.join(column.categories or [])}"
    )


def _constraint(column: Column) -> Any:
    import pandera.polars as pa

    return None if column.categories is None else pa.Check.isin(column.categories)


KIND = Check("categories", Stage.VALUES, _find)
