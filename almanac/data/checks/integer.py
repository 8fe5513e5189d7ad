"""An integer must be a whole number."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.data.checks._values import check_values
from almanac.usecase.data_section import Column


def _find(subject: Subject) -> Iterator[Finding]:
    return check_values(subject, "integer", _constraint, lambda column: "not whole")


def _constraint(column: Column) -> Any:
    import pandera.polars as pa

    if column.type != "integer":
        return None
    return pa.Check(lambda data: data.lazyframe.select(pl.col(data.key) % 1 == 0))


KIND = Check("integer", Stage.VALUES, _find)
