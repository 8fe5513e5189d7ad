"""One pass over a table: the counts of each column, in all and by block."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from almanac.drift.counting.accumulators import NumericLayout, Stretch, count_numeric
from almanac.drift.counting.categories import count_categories
from almanac.drift.profiles.roles import Roles
from almanac.drift.profiles.seasons import Calendar, segments
from almanac.drift.profiles.tables import Batch, Source


@dataclass
class Counted:
    """The counts of a table.

    Attributes:
        rows: rows read.
        totals: counts of each column, in all.
        blocks: counts by block, and in it by column; only the totals have the fine cells.
        span: first and last time in microseconds, None for a table without time.
    """

    rows: int = 0
    totals: dict[str, Stretch] = field(default_factory=dict)
    blocks: dict[int, dict[str, Stretch]] = field(default_factory=dict)
    span: tuple[int, int] | None = None


def count_table(source: Source, calendar: Calendar, layouts: dict[str, NumericLayout | None], roles: Roles) -> Counted:
    """Count the columns of a table in one pass.

    Args:
        source: the table.
        calendar: how time, or rows where there is no time, is cut into blocks.
        layouts: the columns to count, with the layout of each number and None for categories.
        roles: target and prediction.
    """
    counted = Counted()
    for batch in source.batches([part for name in layouts for part in roles.sources(name)]):
        times = batch.times()
        if times is not None and len(times):
            low, high = int(times.min()), int(times.max())
            span = counted.span
            counted.span = (min(low, span[0]), max(high, span[1])) if span else (low, high)
        axis = times if times is not None else np.arange(counted.rows, counted.rows + batch.rows)
        stretches = segments(calendar.blocks(axis), batch.entity_starts())
        for name, layout in layouts.items():
            _count_column(counted, batch, name, stretches, layout, roles, times is not None)
        counted.rows += batch.rows
    return counted


def _count_column(
    counted: Counted,
    batch: Batch,
    name: str,
    stretches: Sequence[tuple[int, int, int]],
    layout: NumericLayout | None,
    roles: Roles,
    ordered: bool,
) -> None:
    values = roles.numbers(batch, name) if layout is not None else batch.category(name)
    for block, start, end in stretches:
        if layout is not None:
            part = count_numeric(values[start:end], layout, ordered)  # type: ignore[arg-type]
        else:
            part = count_categories(values[start:end], ordered)  # type: ignore[arg-type]
        # A run never goes on from one series of a panel into the next.
        contiguous = batch.entity is None
        _add(counted.totals, name, part, contiguous)
        # A thousand cells for each of hundreds of blocks would fill the memory; no measure of a block needs them.
        part.fine = np.zeros(0, np.int64)
        _add(counted.blocks.setdefault(block, {}), name, part, contiguous)


def _add(into: dict[str, Stretch], name: str, part: Stretch, contiguous: bool) -> None:
    if name in into:
        into[name].add(part, contiguous)
    else:
        # A copy, because the totals keep the fine cells that the caller then takes from this part.
        into[name] = replace(part, labels=dict(part.labels))
