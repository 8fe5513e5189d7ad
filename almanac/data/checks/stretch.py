"""A stray date must not stretch the grid: every time between the first and the last becomes a row."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.data.checks._even import EVEN, even_times
from almanac.data.checks._finding import ROW

#: Most times of the grid for each row, and the size below which any grid will do.
_STRETCH, _SMALL = 10, 10_000


def _find(subject: Subject) -> Iterator[Finding]:
    usecase, table = subject.usecase, subject.table
    # Events have no grid.
    if usecase.events is not None:
        return
    step, micros = usecase.time.grid.step, pl.col(EVEN)
    rows = table.select(ROW, *usecase.keys, even_times(table, usecase))
    ordered = rows.sort(usecase.time.column, maintain_order=True)
    groups = ordered.group_by(usecase.entity) if usecase.entity else ordered.group_by(pl.lit(0))
    times = groups.agg(((micros.max() - micros.min()) // step + 1).alias("times"))["times"].sum()
    if times <= max(_STRETCH * table.height, _SMALL):
        return
    gap = micros.diff().over(usecase.entity) if usecase.entity else micros.diff()
    index = pl.int_range(pl.len())
    place, count = (index.over(usecase.entity), pl.len().over(usecase.entity)) if usecase.entity else (index, pl.len())
    ordered = ordered.with_columns(gap=gap, place=place, count=count)
    widest = ordered.sort("gap", descending=True, nulls_last=True, maintain_order=True).head(1)
    far = widest
    # The stray row is on the side of the gap that has fewer rows.
    if widest["place"][0] < widest["count"][0] / 2:
        same = ordered.filter(pl.col(usecase.entity) == widest[usecase.entity][0]) if usecase.entity else ordered
        far = same.filter(pl.col("place") == widest["place"][0] - 1)
    text = (
        f"far from every other row of its series: with it the grid of {usecase.time.frequency} has {times:,} times for "
        f"{table.height:,} rows; correct or remove it, or give another time.frequency"
    )
    yield subject.finding("error", "stretch", usecase.time.column, table.filter(pl.col(ROW) == far[ROW][0]), text)


KIND = Check("stretch", Stage.GAPS, _find, stops=True)
