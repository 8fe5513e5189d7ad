"""Every time must be on the grid that most times are on."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject, count_of, first_rows
from almanac.usecase.types import to_microseconds


def _find(subject: Subject) -> Iterator[Finding]:
    table, time = subject.table, subject.usecase.time
    # Grids need not start on the hour: a station may measure at 20 past.
    phase = pl.col(time.column).cast(pl.Int64) % to_microseconds(time.frequency)
    usual = table.group_by(phase.alias("phase")).len().sort("len", "phase", descending=[True, False])["phase"][0]
    off = table.filter(phase != usual)
    if off.height:
        text = f"{count_of(off.height, 'row')} off the grid of {time.frequency}"
        yield Finding("error", "grid", time.column, off.height, text, first_rows(off, subject.usecase))


KIND = Check("grid", Stage.ROWS, _find, stops=True)
