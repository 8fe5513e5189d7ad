"""Every row must have a time, and an entity if the use case has one."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject


def _find(subject: Subject) -> Iterator[Finding]:
    for name in subject.usecase.keys:
        rows = subject.table.filter(pl.col(name).is_null())
        if rows.height:
            yield subject.value_finding("error", "missing", name, rows, "missing, and none may be")


# The next stages sort by these columns and compare their neighbours.
KIND = Check("missing_keys", Stage.VALUES, _find, stops=True)
