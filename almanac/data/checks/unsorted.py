"""Time must not run backwards within an entity."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Severity, Stage, Subject
from almanac.usecase import UseCase


def _find(subject: Subject) -> Iterator[Finding]:
    usecase, time = subject.usecase, subject.usecase.time.column
    step = pl.col(time).diff()
    step = step.over(usecase.entity) if usecase.entity else step
    back = subject.table.filter(step.dt.total_microseconds() < 0)
    if back.height:
        sort = usecase.validation.unsorted == "sort"
        text = "sorted" if sort else "set validation.unsorted to sort to allow it"
        severity: Severity = "warning" if sort else "error"
        yield subject.finding(severity, "unsorted", time, back, f"earlier than the row before; {text}")


def _sort(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    # A stable sort, so that `keep_first` and `keep_last` mean the order of the source.
    return table.sort(usecase.keys, maintain_order=True)


KIND = Check("unsorted", Stage.ORDER, _find, _sort)
