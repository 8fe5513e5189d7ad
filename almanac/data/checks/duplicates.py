"""No two rows may share entity and time; one of them may be kept."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Severity, Stage, Subject
from almanac.usecase import UseCase

_CONSEQUENCES = {
    "error": "set validation.duplicates to keep_first or keep_last to allow it",
    "keep_first": "the first row of each time is kept",
    "keep_last": "the last row of each time is kept",
}


def _find(subject: Subject) -> Iterator[Finding]:
    usecase, names = subject.usecase, subject.usecase.keys
    rule = usecase.validation.duplicates
    surplus = subject.table.filter(~subject.table.select(pl.struct(names).is_first_distinct()).to_series())
    if surplus.height:
        text = f"with the {' and '.join(names)} of an earlier one; {_CONSEQUENCES[rule]}"
        severity: Severity = "error" if rule == "error" else "warning"
        yield subject.finding(severity, "duplicates", usecase.time.column, surplus, text)


def _keep_one(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    last = usecase.validation.duplicates == "keep_last"
    return table.unique(usecase.keys, keep="last" if last else "first", maintain_order=True)


KIND = Check("duplicates", Stage.DUPLICATES, _find, _keep_one)
