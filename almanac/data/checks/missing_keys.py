"""Every row must have a time, and an entity if the use case has one."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject, count_of, first_rows, keys


def _find(subject: Subject) -> Iterator[Finding]:
    for name in keys(subject.usecase):
        rows = subject.table.filter(pl.col(name).is_null())
        if rows.height:
            text = f"{count_of(rows.height, 'value')} missing, and none may be"
            yield Finding("error", "missing", name, rows.height, text, first_rows(rows, subject.usecase, name))


KIND = Check("missing_keys", Stage.VALUES, _find, stops=True)
