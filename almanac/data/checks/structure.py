"""Every declared column must be there, in its type, and no other."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.usecase import UseCase


def _find(subject: Subject) -> Iterator[Finding]:
    table, types = subject.table, _types(subject.usecase)
    for name in types:
        if name not in table.columns:
            text = f"is missing; the table has {', '.join(table.columns)}"
            yield Finding("error", "missing_column", name, 1, text)
    for name, dtype in table.schema.items():
        if name not in types:
            text = "is not declared; declare it under 'columns' or drop it in its source"
            # An undeclared column is an error, because it may be a renamed one.
            yield Finding("error", "extra_column", name, 1, text)
        elif dtype != types[name]:
            yield Finding("error", "type", name, 1, f"has type {dtype}, and should have {types[name]}")


def _types(usecase: UseCase) -> dict[str, Any]:
    types: dict[str, Any] = {usecase.time.column: pl.Datetime("us")}
    types |= {usecase.entity: pl.String} if usecase.entity else {}
    # Integers are floats here too, as ingestion reads them; the check `integer` compares their values.
    return types | {
        name: pl.String if c.type in ("category", "text") else pl.Float64 for name, c in usecase.columns.items()
    }


KIND = Check("structure", Stage.STRUCTURE, _find, stops=True)
