"""A column must not miss more values than declared, and a target must have some."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.usecase import UseCase


def missing_shares(table: pl.DataFrame, usecase: UseCase) -> dict[str, float]:
    """Return the share of missing values of each column."""
    return {name: table[name].null_count() / table.height for name in usecase.columns}


def _find(subject: Subject) -> Iterator[Finding]:
    table, usecase = subject.table, subject.usecase
    targets = {target.column for target in usecase.targets}
    for name, share in missing_shares(table, usecase).items():
        most, count = usecase.columns[name].max_missing, table[name].null_count()
        # Whatever `max_missing` allows: there would be nothing to learn.
        if share == 1.0 and name in targets:
            yield Finding("error", "target_missing", name, count, "is a target, and has no value at all")
        elif share > most:
            text = f"{count:,} of {table.height:,} values missing ({share:.2%}); at most {most:.2%} may be"
            yield Finding("error", "max_missing", name, count, text)


KIND = Check("missing_shares", Stage.ROWS, _find)
