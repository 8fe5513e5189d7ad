"""One pass over a table: what is counted of each column, in all and by block."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from almanac.drift.accumulators import NumericLayout, Stretch, count_categories, count_numeric
from almanac.drift.histogram import Floats, Numeric
from almanac.drift.seasons import Calendar, segments

if TYPE_CHECKING:  # a server that counts rows reads no tables
    from almanac.drift.tables import Batch, Source

#: The column that is made of target and prediction.
RESIDUAL = "residual"


@dataclass(frozen=True)
class Derived:
    """Columns with a part of their own: the target, the prediction, and the residual made of both."""

    target: str | None = None
    prediction: str | None = None

    def has_residual(self) -> bool:
        """Return whether a residual can be made."""
        return self.target is not None and self.prediction is not None

    def role(self, name: str) -> str:
        """Return what a column is: a feature, the target, the prediction or the residual."""
        if name == RESIDUAL and self.has_residual():
            return "residual"
        return {self.target: "target", self.prediction: "prediction"}.get(name, "feature")

    def sources(self, name: str) -> list[str]:
        """Return the columns of the table that a watched column is made of."""
        if self.role(name) == "residual":
            assert self.target is not None and self.prediction is not None
            return [self.target, self.prediction]
        return [name]

    def numbers(self, batch: "Batch", name: str) -> Numeric:
        """Return a numeric watched column (n,)."""
        if self.role(name) == "residual":
            assert self.target is not None and self.prediction is not None
            return np.asarray(batch.number(self.target) - batch.number(self.prediction), np.float64)
        return batch.number(name)


@dataclass
class Collected:
    """What one pass has counted.

    Attributes:
        rows: rows read.
        totals: what was counted of each column, in all.
        blocks: the same by block, and in it by column; the fine cells are kept in the totals alone.
        span: first and last time in microseconds, None for a table without time.
    """

    rows: int = 0
    totals: dict[str, Stretch] = field(default_factory=dict)
    blocks: dict[int, dict[str, Stretch]] = field(default_factory=dict)
    span: tuple[int, int] | None = None


def collect(
    source: "Source", calendar: Calendar, layouts: dict[str, NumericLayout | None], derived: Derived
) -> Collected:
    """Count the columns of a table in one pass.

    Args:
        source: the table.
        calendar: how time, or rows where there is no time, is cut into blocks.
        layouts: the columns to count, with the layout of each number and None for categories.
        derived: target and prediction.
    """
    found = Collected()
    names: Sequence[str] = list(layouts)
    for batch in source.batches([part for name in names for part in derived.sources(name)]):
        times = batch.times()
        if times is not None and len(times):
            low, high = int(times.min()), int(times.max())
            found.span = (min(low, found.span[0]), max(high, found.span[1])) if found.span else (low, high)
        axis = times if times is not None else np.arange(found.rows, found.rows + batch.rows)
        stretches = segments(calendar.blocks(axis), batch.entity_starts())
        for name in names:
            _count_column(found, batch, name, stretches, layouts[name], derived, times is not None)
        found.rows += batch.rows
    return found


def _count_column(
    found: Collected,
    batch: "Batch",
    name: str,
    stretches: list[tuple[int, int, int]],
    layout: NumericLayout | None,
    derived: Derived,
    ordered: bool,
) -> None:
    values = derived.numbers(batch, name) if layout is not None else batch.category(name)
    for block, start, end in stretches:
        if layout is not None:
            part = count_numeric(values[start:end], layout, ordered)  # type: ignore[arg-type]
        else:
            part = count_categories(values[start:end], ordered)  # type: ignore[arg-type]
        contiguous = batch.entity is None
        _add(found.totals, name, part, contiguous)
        part.fine = np.zeros(0, np.int64)
        _add(found.blocks.setdefault(block, {}), name, part, contiguous)


def _add(into: dict[str, Stretch], name: str, part: Stretch, contiguous: bool) -> None:
    if name in into:
        into[name].add(part, contiguous)
    else:
        into[name] = Stretch(
            part.tally, part.fine, part.runs, part.minimum, part.maximum, dict(part.labels) if part.labels else {}
        )


def mixture(by_season: Floats, weights: Floats) -> Floats:
    """Return the reference that a window is like: the tallies (s, w) of its seasons in the window's proportions (s,).

    Seasons that the reference does not know are left out; where it knows none of them, all of it is taken.
    """
    rows = by_season[:, 0]
    known = np.where(rows > 0, weights, 0.0)
    if not known.sum() > 0:
        return np.asarray(by_season.sum(axis=0), np.float64)
    scale = np.divide(known / known.sum(), rows, out=np.zeros_like(known), where=rows > 0)
    # As many rows as the rarest season gives in these proportions: what the mixture is worth as a sample.
    worth = float(np.min(np.divide(rows, known / known.sum(), out=np.full_like(rows, np.inf), where=known > 0)))
    return np.asarray(scale @ by_season * worth, np.float64)
