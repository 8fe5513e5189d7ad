"""The real trace of 100 servers, from the directory that ALMANAC_MIRROR names, which continuous integration lacks."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from almanac.data.ingest import ingest
from almanac.usecase import load

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.skipif(not os.environ.get("ALMANAC_MIRROR"), reason="ALMANAC_MIRROR names no directory with the trace")
def test_the_trace_is_read_to_hours_that_end_with_a_whole_day(tmp_path: Path) -> None:
    case = load(ROOT / "usecases" / "server_load.yaml")
    ingest(case, ROOT / "usecases", tmp_path / "cache", tmp_path / "table.parquet")
    table = pl.read_parquet(tmp_path / "table.parquet")
    assert table.height == 100 * 667
    assert table["machine"].n_unique() == 100
    assert table.select(pl.all().null_count()).sum_horizontal().item() == 0
    assert str(table["timestamp"].max()) == "1970-01-28 23:00:00"
    # The figures of the naive forecast of the last week are known: a shift by an hour would change them.
    for column, known in (("cpu_mean", 15.45), ("cpu_max", 37.57)):
        wide = (
            table.pivot(on="machine", index="timestamp", values=column).sort("timestamp").drop("timestamp").to_numpy()
        )
        y, naive = wide[-168:], wide[-192:-24]
        assert 100 * np.mean(2 * np.abs(y - naive) / (y + naive)) == pytest.approx(known, abs=0.01)
    assert (table["cpu_max"] >= table["cpu_mean"]).all()
