"""Plots of the validation report, by the shapes that they draw."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from matplotlib.collections import QuadMesh

from almanac.data.validation_plots import missing
from tests.support import small


@pytest.mark.parametrize("rows", [1, 2, 72, 73, 145, 217, 1000])
def test_each_span_of_the_missing_values_has_a_width(rows: int) -> None:
    """72 spans of equal length at most, of which the last may hold a single row."""
    times = [datetime(2020, 1, 1) + hour * timedelta(hours=1) for hour in range(rows)]
    table = pl.DataFrame({"timestamp": times, "load": [None] * rows, "kind": ["a"] * rows}).with_columns(
        pl.col("timestamp").cast(pl.Datetime("us")), pl.col("load").cast(pl.Float64)
    )
    figure = missing(table, small.usecase())
    (mesh,) = (each for each in figure.axes[0].collections if isinstance(each, QuadMesh))
    edges = np.asarray(mesh.get_coordinates())[0, :, 0]
    hour = 1 / 24
    assert np.diff(edges).min() >= hour * (1 - 1e-6)
    # Each row stands for its step: together the whole of the series.
    assert edges[-1] - edges[0] == pytest.approx(rows * hour)
