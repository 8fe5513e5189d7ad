"""Times that are missing on the grid: reported, and filled with rows without values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from almanac.data.checks import Check, Finding, Severity, Stage, Subject, count_of
from almanac.data.checks._even import EVEN, even_times
from almanac.usecase import UseCase

_TIME = pl.Datetime("us")
_SHOWN = 3


@dataclass(frozen=True)
class Gap:
    """Missing times between two rows."""

    entity: str | None
    start: datetime
    end: datetime
    steps: int


def find_gaps(table: pl.DataFrame, usecase: UseCase) -> list[Gap]:
    """Return the gaps in a sorted table without duplicates, longest first."""
    if usecase.events is not None:
        # Events have no times at which one is missing.
        return []
    grid, entity, even = usecase.time.grid, usecase.entity, pl.col(EVEN)
    before = even.shift(1).over(entity) if entity else even.shift(1)
    found = (
        table.select(*usecase.keys, even_times(table, usecase))
        .with_columns(before=before)
        .with_columns(steps=(even - pl.col("before")) // grid.step - 1)
        .filter(pl.col("steps") > 0)
    )
    ends = {"start": found["before"] + grid.step, "end": found[EVEN] - grid.step}
    times = [pl.Series(name, grid.from_even(end.to_numpy())).cast(_TIME) for name, end in ends.items()]
    gaps = found.with_columns(*times).sort("steps", "start", descending=[True, False], maintain_order=True)
    return [
        Gap(row[entity] if entity else None, row["start"], row["end"], row["steps"])
        for row in gaps.iter_rows(named=True)
    ]


def gap_finding(severity: Severity, rule: str, text: str, gaps: Sequence[Gap]) -> Finding:
    """Return the finding of some gaps, with the longest of them."""
    rows = [
        {
            **({"entity": gap.entity} if gap.entity else {}),
            "time": f"{gap.start.isoformat()} to {gap.end.isoformat()}",
            "value": gap.steps,
        }
        for gap in gaps[:_SHOWN]
    ]
    return Finding(severity, rule, None, len(gaps), f"{text} (longest first, with their steps)", tuple(rows))


def _find(subject: Subject) -> Iterator[Finding]:
    if gaps := find_gaps(subject.table, subject.usecase):
        missing = count_of(sum(gap.steps for gap in gaps), "time")
        text = f"{count_of(len(gaps), 'gap')}, {missing} missing"
        yield gap_finding(subject.usecase.validation.gaps, "gaps", text, gaps)


def _complete(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    """Return the table with a row for every time between each entity's first and last."""
    if usecase.events is not None:
        return table
    time, grid, even = usecase.time.column, usecase.time.grid, pl.col(EVEN)
    # In the order of the table, because the bytes of the valid table may depend on its content only.
    spans = (
        table.select(*usecase.keys[:-1], even_times(table, usecase))
        .group_by(usecase.keys[:-1] or pl.lit(0), maintain_order=True)
        .agg(pl.int_range(even.min(), even.max() + grid.step, grid.step))
        .explode(EVEN)
    )
    if spans.height == table.height:
        return table
    times = pl.Series(time, grid.from_even(spans[EVEN].to_numpy())).cast(table.schema[time])
    # The keys come first in a join; the table keeps the order of its columns.
    full = spans.with_columns(times).join(table, on=usecase.keys, how="left", maintain_order="left")
    return full.select(table.columns)


KIND = Check("gaps", Stage.GAPS, _find, _complete)
