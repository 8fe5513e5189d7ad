"""Each source must cover enough of the grid's times."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.usecase import UseCase


def completeness(grid: pl.DataFrame, usecase: UseCase, lineage: dict[str, Any] | None) -> dict[str, float]:
    """Return for each source the share of the grid's times at which it has a value."""
    # A table that was not ingested, such as that of a proposal, counts as one source.
    sources = (lineage or {}).get("sources") or [{"name": "table", "columns": list(usecase.columns)}]
    return {
        # One of its columns suffices: others may be missing for reasons of their own.
        source["name"]: float(grid.select(pl.any_horizontal(pl.col(source["columns"]).is_not_null()).mean()).item())
        for source in sources
        if source["columns"]
    }


def _find(subject: Subject) -> Iterator[Finding]:
    least = subject.usecase.validation.completeness
    for name, share in completeness(subject.table, subject.usecase, subject.lineage).items():
        if share < least:
            text = f"source {name} covers {share:.2%} of the times; {least:.2%} needed"
            yield Finding("error", "completeness", None, 1, text)


KIND = Check("completeness", Stage.GRID, _find)
