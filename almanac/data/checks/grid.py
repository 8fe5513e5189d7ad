"""Every time must be on the grid that most times are on."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.usecase.types import to_microseconds


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.usecase.events is not None:
        return
    table, time = subject.table, subject.usecase.time
    # Grids need not start on the hour: a station may measure at 20 past.
    phase = pl.col(time.column).cast(pl.Int64) % to_microseconds(time.frequency)
    # Of two phases with equally many rows the earlier one counts: groups come in no fixed order.
    usual = table.group_by(phase.alias("phase")).len().sort("len", "phase", descending=[True, False])["phase"][0]
    off = table.filter(phase != usual)
    if off.height:
        yield subject.finding("error", "grid", time.column, off, f"off the grid of {time.frequency}")


KIND = Check("grid", Stage.ROWS, _find, stops=True)
