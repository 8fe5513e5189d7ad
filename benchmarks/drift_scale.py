"""Our own limits, each in a process of its own: many columns, a billion values, large profiles, rows while serving."""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from almanac import drift
from almanac.drift.online import OnlineDrift

_PARTITION_ROWS = 2_500_000
_PARTITION_COLUMNS = 20


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def wide() -> dict[str, float]:
    """Compare 100 columns of a million rows, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(100)]
    reference = pl.DataFrame({name: rng.normal(size=100_000) for name in names})
    current = pl.DataFrame({name: rng.normal(size=1_000_000) for name in names})
    profile = drift.profile(reference)
    drift.compare(profile, current)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        drift.compare(profile, current)
        seconds.append(time.perf_counter() - start)
    return {"second_s": sorted(seconds)[2], "best_s": min(seconds)}


def stream() -> dict[str, float]:
    """Compare a billion values that are streamed from Parquet: one file of 50 million, read as twenty partitions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "part.parquet"
        if os.fork() == 0:
            # Made in another process: its memory is none of the comparison's.
            rng = np.random.default_rng(0)
            columns = {f"c{i}": rng.normal(size=_PARTITION_ROWS) for i in range(_PARTITION_COLUMNS)}
            pq.write_table(pa.table(columns), file, row_group_size=1 << 17, use_dictionary=False, compression="none")
            # Without the clean-up of the parent, whose temporary directory an ordinary exit would remove.
            os._exit(0)
        os.wait()
        profile = drift.profile(file)
        partitions = [file] * (1_000_000_000 // (_PARTITION_ROWS * _PARTITION_COLUMNS))
        start = time.perf_counter()
        comparison = drift.compare(profile, partitions)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        # Reading without comparing, to know its share of the time.
        for part in partitions:
            with pq.ParquetFile(part, pre_buffer=False) as parquet:
                for _ in parquet.iter_batches(batch_size=1 << 17):
                    pass
        reading = time.perf_counter() - start
    values = comparison.rows * _PARTITION_COLUMNS
    return {"values": values, "seconds": seconds, "reading_alone_s": reading, "peak_mb": _peak_mb()}


def store() -> dict[str, float]:
    """Write and load the profile of 200 features over three seasonal years of hours."""
    rng = np.random.default_rng(0)
    hours = pl.datetime_range(pl.datetime(2010, 1, 1), pl.datetime(2012, 12, 31, 23), "1h", eager=True)
    season = 10 * np.sin(np.arange(len(hours)) * 2 * np.pi / 8766)
    table = pl.DataFrame({"time": hours, **{f"c{i}": season + rng.normal(size=len(hours)) for i in range(200)}})
    start = time.perf_counter()
    profile = drift.profile(table, time="time")
    profiling = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "reference.json"
        profile.write(path)
        size = path.stat().st_size / 1e6
        loads, work = [], []
        for _ in range(15):
            start, worked = time.perf_counter(), time.process_time()
            drift.read(path)
            loads.append(1e3 * (time.perf_counter() - start))
            work.append(1e3 * (time.process_time() - worked))
    return {"profiling_s": profiling, "size_mb": size, "load_ms": sorted(loads)[7], "load_cpu_ms": sorted(work)[7]}


def online() -> dict[str, float]:
    """Count rows of 100 features while serving."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20_000, 100))
    names = [f"c{i}" for i in range(100)]
    counters = OnlineDrift(drift.profile(pl.DataFrame(rows, schema=names)))
    start = time.perf_counter()
    for row in rows:
        counters.add(row)
    return {"us_per_feature": (time.perf_counter() - start) / rows.size * 1e6}


CASES: dict[str, Callable[[], dict[str, float]]] = {"wide": wide, "stream": stream, "store": store, "online": online}


def main() -> None:
    """Run the case that the command line names and print its figures as one line of JSON."""
    result: dict[str, Any] = CASES[sys.argv[1]]()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
