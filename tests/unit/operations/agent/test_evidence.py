"""Figures of a table: of what has happened to a column in its newest days, and of none where nothing has."""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from operations.agent.evidence.table import table_figures
from tests.support import small

_HOURS = 24 * 800
_NEWEST = pl.int_range(pl.len()) >= _HOURS - 24 * 9

Column = dict[str, float]


def figures(change: pl.Expr | None = None, by: str = "hour") -> dict[str, Column]:
    """Return the figures of a table of 800 days after a change of its last nine.

    Args:
        change: the column that is changed; None for no change.
        by: whether the category follows from the hour of the day, or from the skewed number.
    """
    draw, hours = np.random.default_rng(3), np.arange(_HOURS)
    load = np.exp(draw.normal(2, 0.8, _HOURS))
    signal = np.sin(2 * np.pi * hours / 24) if by == "hour" else np.log(load) - 2
    kind = np.where(signal + draw.normal(0, 0.8, _HOURS) > 0.4, "a", "b")
    table = pl.DataFrame({"load": load.round(2), "kind": kind}).with_columns(
        timestamp=pl.lit(datetime(2020, 1, 1)) + pl.duration(hours=pl.int_range(pl.len()))
    )
    return table_figures(small.usecase(), table if change is None else table.with_columns(change))[0]


@pytest.mark.parametrize("by", ["hour", "number"])
def test_levels_that_change_places_are_known_by_the_hour_or_by_a_skewed_column(by: str) -> None:
    places = pl.when(_NEWEST).then(pl.col("kind").replace({"a": "b", "b": "a"})).otherwise("kind")
    assert figures(by=by)["kind"]["recode"] < 1.2
    assert figures(places.alias("kind"), by)["kind"]["recode"] > 4


@pytest.mark.parametrize(
    ("change", "column", "figure"),
    [
        (lambda: pl.when(_NEWEST).then(7.0).otherwise("load").alias("load"), "load", "run"),
        (lambda: pl.when(_NEWEST).then(pl.col("load") * 1000).otherwise("load").alias("load"), "load", "unit"),
        (lambda: pl.when(_NEWEST).then(None).otherwise("load").alias("load"), "load", "missing"),
        (lambda: pl.when(_NEWEST).then(pl.lit("c")).otherwise("kind").alias("kind"), "kind", "unseen"),
    ],
    ids=["stuck", "another unit", "gaps", "renamed"],
)
def test_each_change_has_the_figure_that_names_it(change: Callable[[], pl.Expr], column: str, figure: str) -> None:
    assert figures()[column][figure] < 1.2
    assert figures(change())[column][figure] > 4
