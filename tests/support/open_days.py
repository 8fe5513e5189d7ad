"""A panel on the open days of an exchange, and the same values on days that follow each other."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from almanac.core.grid import DAY
from almanac.usecase import UseCase
from tests.support import small

FIRST, COUNT = date(2018, 1, 2), 700
#: Where the days that follow each other begin.
EVEN_FIRST = datetime(2000, 1, 3)
CALENDAR = {"exchange": "XNYS"}
_ITEMS = [
    {"kind": "value", "group": "lagged", "columns": ["load"]},
    {"kind": "lag", "group": "lagged", "columns": ["load"], "lags": ["1d", "5d"]},
    {
        "kind": "rolling",
        "group": "rolling",
        "columns": ["load"],
        "windows": ["5d", "20d"],
        "statistics": ["mean", "std"],
    },
    {
        "kind": "seasonal",
        "group": "seasonal",
        "columns": ["load"],
        "period": "5d",
        "counts": [4],
        "statistics": ["mean"],
    },
    {"kind": "age", "group": "lagged", "columns": ["load"], "limit": "5d"},
]


def usecase(calendar: Any = CALENDAR, **changes: Any) -> UseCase:
    """Return the use case of the panel; without a calendar that of the days that follow each other."""
    time = {"column": "timestamp", "frequency": "1d", **({"calendar": calendar} if calendar else {})}
    declared: dict[str, Any] = {
        "time": time,
        "entity": "kind",
        "columns": {"load": {"type": "float", "description": "Load", "max_missing": 1.0}},
        "features": {"items": _ITEMS, "impute": {"limit": "2d"}},
        "targets": [{"name": f"load_{days}d", "column": "load", "horizon": f"{days}d"} for days in (1, 3)],
        "split": {"test_from": "2020-01-01" if calendar else str(EVEN_FIRST.date() + timedelta(days=503))},
        "training": {"folds": {"count": 2}, "candidates": [{"name": "ridge", "kind": "linear"}]},
        "evaluation": {"season": "5d", "bands": {"edges": [50.0]}, "block": "5d"},
    }
    return small.usecase(**declared | changes)


def rows(case: UseCase) -> pl.DataFrame:
    """Return the panel on the open days of a use case, with missing rows and missing values."""
    grid, generator = case.time.grid, np.random.default_rng(5)
    first = FIRST if case.time.calendar else EVEN_FIRST.date()
    start = int(np.datetime64(first, "us").astype(np.int64))
    times = grid.later(np.full(COUNT, start), 0)
    times = grid.from_even(grid.to_even(times) + DAY * np.arange(COUNT)).astype("datetime64[us]")
    parts = []
    for name, level in (("a", 40.0), ("b", 60.0)):
        load = np.round(
            level + 3 * np.sin(np.arange(COUNT) * 2 * np.pi / 5) + generator.normal(size=COUNT).cumsum() / 4, 3
        )
        load[generator.random(COUNT) < 0.03] = np.nan
        part = pl.DataFrame({"kind": name, "timestamp": times, "load": load}).with_columns(
            pl.col("load").fill_nan(None)
        )
        parts.append(part.filter(pl.Series(generator.random(COUNT) > 0.02)))
    return pl.concat(parts)
