"""A number must be finite."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.data.checks._values import check_values
from almanac.usecase.data_section import Column


def _find(subject: Subject) -> Iterator[Finding]:
    return check_values(subject, "finite", _constraint, lambda column: "infinite")


def _constraint(column: Column) -> Any:
    import pandera.polars as pa

    if column.type == "category":
        return None
    return pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_finite()))


KIND = Check("finite", Stage.VALUES, _find)
