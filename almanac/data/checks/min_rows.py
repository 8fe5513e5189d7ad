"""The table must have enough rows."""

from collections.abc import Iterator

from almanac.data.checks import Check, Finding, Stage, Subject


def _find(subject: Subject) -> Iterator[Finding]:
    least, rows = subject.usecase.validation.min_rows, subject.table.height
    if rows < least:
        yield Finding("error", "min_rows", None, rows, f"has {rows:,} rows, and should have {least:,}")


KIND = Check("min_rows", Stage.ROWS, _find)
