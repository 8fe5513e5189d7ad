"""A column must not keep one value for too long, as that of a stuck sensor does."""

from collections.abc import Iterator
from typing import Literal

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject, count_of
from almanac.usecase import UseCase
from almanac.usecase.types import Duration, Name, to_microseconds
from almanac.usecase.validation_section import CheckBase

_SHOWN = 3


class Flatline(CheckBase):
    """A column that keeps one value for longer than this."""

    rule: Literal["flatline"]
    column: Name
    """Column of the table."""
    longest: Duration
    """Longest time with one value."""


def _problems(options: Flatline, usecase: UseCase) -> Iterator[str]:
    if options.column not in usecase.columns:
        yield f"column: no column named {options.column}; known: {', '.join(sorted(usecase.columns))}"


def _find(subject: Subject) -> Iterator[Finding]:
    usecase, options, time = subject.usecase, subject.options, subject.usecase.time.column
    value, entity = pl.col(options.column), [usecase.entity] if usecase.entity else []
    limit = to_microseconds(options.longest) // to_microseconds(usecase.time.frequency)
    # Within each entity: equal values at the border of two series are no run.
    run = value.rle_id().over(*entity) if entity else value.rle_id()
    runs = (
        subject.table.group_by(*entity, run.alias("run"), maintain_order=True)
        .agg(value.first().alias("value"), start=pl.col(time).first(), end=pl.col(time).last(), steps=pl.len())
        # A run of missing values is a gap, which other checks report.
        .filter(pl.col("value").is_not_null(), pl.col("steps") > limit)
        .sort("steps", descending=True, maintain_order=True)
    )
    if runs.height:
        rows = [
            {
                **({"entity": row[usecase.entity]} if usecase.entity else {}),
                "time": f"{row['start'].isoformat()} to {row['end'].isoformat()}",
                "value": row["value"],
            }
            for row in runs.head(_SHOWN).iter_rows(named=True)
        ]
        text = f"{count_of(runs.height, 'span')} of one value for more than {options.longest} (longest first)"
        yield Finding(options.severity, "flatline", options.column, runs.height, text, tuple(rows))


KIND = Check("flatline", Stage.GRID, _find, declaration=Flatline, problems=_problems)
