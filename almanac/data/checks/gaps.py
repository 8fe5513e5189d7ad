"""Times that are missing on the grid: reported, and filled with rows without values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from almanac.data.checks import Check, Finding, Severity, Stage, Subject, count_of
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

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
    time, frequency = pl.col(usecase.time.column).cast(pl.Int64), to_microseconds(usecase.time.frequency)
    before = time.shift(1).over(usecase.entity) if usecase.entity else time.shift(1)
    gaps = (
        table.select(*usecase.keys, before=before)
        .with_columns(steps=(time - pl.col("before")) // frequency - 1)
        .filter(pl.col("steps") > 0)
        .with_columns(start=(pl.col("before") + frequency).cast(_TIME), end=(time - frequency).cast(_TIME))
        .sort("steps", "start", descending=[True, False], maintain_order=True)
    )
    entity = usecase.entity
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
    time = usecase.time.column
    # Polars abbreviates minutes as m.
    span = pl.datetime_range(pl.col(time).min(), pl.col(time).max(), usecase.time.frequency.replace("min", "m"))
    if usecase.entity:
        # In the order of the table, because the bytes of the valid table may depend on its content only.
        grid = table.group_by(usecase.entity, maintain_order=True).agg(span.alias(time)).explode(time)
    else:
        grid = table.select(span.alias(time))
    if grid.height == table.height:
        return table
    # The keys come first in a join; the table keeps the order of its columns.
    return grid.join(table, on=usecase.keys, how="left", maintain_order="left").select(table.columns)


KIND = Check("gaps", Stage.GAPS, _find, _complete)
