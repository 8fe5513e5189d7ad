"""Forecasts in a terminal: a table of the newest rows, and a line drawn with characters."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from almanac.usecase import UseCase

_ROWS, _WIDTH = 12, 60
_BARS = "▁▂▃▄▅▆▇█"


def preview(path: Path, usecase: UseCase) -> Iterator[str]:
    """Yield the lines that show a table of predictions; of several series, the one of the newest row."""
    table, time, entity = pl.read_parquet(path), usecase.time.column, usecase.entity
    if table.is_empty():
        return
    table = table.sort(time, maintain_order=True)
    if entity is not None:
        shown, count = table[entity][-1], table[entity].n_unique()
        table = table.filter(pl.col(entity) == shown)
        yield f"  {entity} {shown}, one of {count:,}"
    # The column of times holds those of the forecasts, and a forecast is of later.
    heading = {} if usecase.events else {one.name: f", {one.horizon} after {time}" for one in usecase.targets}
    for target in table["target"].unique(maintain_order=True):
        rows = table.filter(pl.col("target") == target)
        columns = [name for name in ("prediction", "lower", "upper", "signal") if rows[name].null_count() < rows.height]
        yield f"  {target}{heading.get(target, '')}"
        yield "  " + f"{time:<17}" + "".join(f"{name:>16}" for name in columns)
        for row in rows.tail(_ROWS).iter_rows(named=True):
            yield "  " + f"{str(row[time])[:16]:<17}" + "".join(f"{_cell(row[name]):>16}" for name in columns)
        # A single forecast has no course.
        if rows.height > 1 and (line := sparkline(rows["prediction"].to_list())):
            yield f"  {line}"


def sparkline(values: Sequence[float | None]) -> str:
    """Return values as a line of bars between their least and greatest, each the mean of a part; empty without any."""
    width = min(_WIDTH, len(values))
    parts = [values[len(values) * k // width : len(values) * (k + 1) // width] for k in range(width)]
    known = [[value for value in part if value is not None and value == value] for part in parts]
    means = [sum(part) / len(part) if part else None for part in known]
    present = [mean for mean in means if mean is not None]
    if not present:
        return ""
    low, high = min(present), max(present)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    bars = "".join(" " if mean is None else _BARS[round((mean - low) * scale)] for mean in means)
    return f"{bars}  {low:.4g} to {high:.4g}"


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)[:18]
