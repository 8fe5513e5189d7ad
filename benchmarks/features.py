"""Speed and memory of the feature engines against the same features in pandas, on the reference use case.

    python -m benchmarks.features --rows 43824 --rows 10000000 --json features.json

The table is a panel of stations: the real series, shifted by another amount at each station, one a 43,824 rows.
Each engine runs in a process of its own, which also gives its peak of memory. pandas computes station by station and
keeps the stations' frames as they are, which spares it the copy into one table. It uses one core, the batch engine all
of them; the ratio of processor time says what a single core gains.

Each repeats after one unmeasured run: the first touch of a page that the host has not given a virtual machine yet takes
up to thirty times as long as any later one, at 10 million rows longer than the computation.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from almanac.core.files import pretty_json
from almanac.data.ingest import ingest
from almanac.features.batch import compute
from almanac.features.fit import fit
from almanac.features.online import OnlineEngine
from almanac.features.spec import FeatureSpec
from almanac.features.split import train_test
from almanac.features.table import numbers, times
from almanac.usecase import load
from benchmarks.features_pandas import features

ROOT = Path(__file__).resolve().parent.parent
ENTITY = "station"
TOLERANCE = 1e-9


def panel(rows: int) -> tuple[FeatureSpec, pl.DataFrame]:
    """Return the reference specification with an entity, and a panel of about `rows` rows."""
    usecase = load(ROOT / "usecases" / "air_quality.yaml")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "table.parquet"
        ingest(usecase, ROOT / "usecases", ROOT / ".cache", path)
        table = pl.read_parquet(path)
    spec = fit(usecase, table, train_test(usecase, table["timestamp"])[0]).model_copy(update={"entity": ENTITY})
    numeric = [name for name in spec.columns if name not in spec.categories]
    stations = max(1, -(-rows // table.height))
    frames = [
        table.select(
            pl.lit(f"{k:04}").alias(ENTITY),
            spec.time,
            *((pl.col(name) + float(k % 50)).alias(name) for name in numeric),
            *spec.categories,
        )
        for k in range(stations)
    ]
    return spec, pl.concat(frames).head(rows)


def run_batch(rows: int, repeats: int) -> dict[str, Any]:
    """Return seconds of each repeat of the batch engine, and its peak of memory above the input."""
    spec, table = panel(rows)
    compute(spec, table.head(2000))
    before = _resident()
    result = compute(spec, table)
    peak, size = _peak() - before, sum(result[name].estimated_size() for name in spec.names)
    del result
    return {**_timed(lambda: compute(spec, table), repeats), "output_bytes": size, "peak_bytes": peak}


def run_pandas(rows: int, repeats: int) -> dict[str, Any]:
    """Return seconds of each repeat of pandas, and its peak of memory above the input."""
    spec, table = panel(rows)
    frames = [part.to_pandas() for part in table.partition_by(ENTITY, maintain_order=True)]
    features(spec, frames[0].head(2000))
    before = _resident()
    result = [features(spec, frame) for frame in frames]
    peak = _peak() - before
    del result
    return {**_timed(lambda: [features(spec, frame) for frame in frames], repeats), "peak_bytes": peak}


def _timed(function: Callable[[], object], repeats: int) -> dict[str, list[float]]:
    """Return seconds and seconds of processor time of each call."""
    seconds, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        result = function()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
        del result
    return {"seconds": seconds, "cpu": cpu}


def run_agreement(rows: int, repeats: int) -> dict[str, Any]:
    """Return the largest difference of the two, in shares of the largest value of each feature.

    Raises:
        AssertionError: it is above the tolerance, or one has a value where the other has none.
    """
    spec, table = panel(rows)
    ours = compute(spec, table)
    differences: dict[str, float] = dict.fromkeys(spec.names, 0.0)
    for station, part in table.to_pandas().groupby(ENTITY, sort=False):
        theirs = features(spec, part.reset_index(drop=True))
        mine = ours.filter(pl.col(ENTITY) == station)
        for name in spec.names:
            a, b = mine[name].to_numpy(), pd.Series(theirs[name]).to_numpy(dtype=np.float64)
            assert np.array_equal(np.isnan(a), np.isnan(b)), f"{name}: missing in one alone"
            worst = float(np.nanmax(np.abs(a - b))) / max(1.0, float(np.nanmax(np.abs(b))))
            differences[name] = max(differences[name], worst)
    name = max(differences, key=differences.__getitem__)
    assert differences[name] <= TOLERANCE, f"{name} differs by {differences[name]:.2g} of its largest value"
    return {"rows": table.height, "largest": differences[name], "feature": name, "tolerance": TOLERANCE}


def run_online(rows: int, repeats: int) -> dict[str, Any]:
    """Return µs a row of the online engine for each repeat, over prediction times that never repeat."""
    spec, table = panel(min(rows, 43_824))
    engine, moments = OnlineEngine(spec), times(table, spec.time)
    block = np.stack([numbers(spec, table, name) for name in spec.columns])
    micros, cpu = [], []
    for repeat in range(repeats):
        first = engine.history + 2000 * repeat
        windows = [
            (dict(zip(engine.columns, block[:, k - engine.history + 1 : k + 1].copy(), strict=True)), int(moments[k]))
            for k in range(first, first + 2000)
        ]
        start, used = time.perf_counter(), time.process_time()
        for columns, moment in windows:
            engine.row(columns, moment)
        cpu.append((time.process_time() - used) / len(windows) * 1e6)
        micros.append((time.perf_counter() - start) / len(windows) * 1e6)
    return {"micros": micros, "cpu_micros": statistics.median(cpu), "features": len(spec.names)}


_RUNS = {"batch": run_batch, "pandas": run_pandas, "agreement": run_agreement, "online": run_online}


def measure(kind: str, rows: int, repeats: int) -> dict[str, Any]:
    """Return the measurements of a run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.features", "--only", kind, "--rows", str(rows)]
    done = subprocess.run([*command, "--repeats", str(repeats)], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def compare(rows: int, repeats: int) -> dict[str, Any]:
    """Return both engines' figures at a size: medians, and the ratio with its spread over the repeats."""
    ours, theirs = measure("batch", rows, repeats), measure("pandas", rows, repeats)
    ratios = [b / a for a in ours["seconds"] for b in theirs["seconds"]]
    return {
        "rows": rows,
        "batch_seconds": statistics.median(ours["seconds"]),
        "pandas_seconds": statistics.median(theirs["seconds"]),
        "ratio": statistics.median(ratios),
        "ratio_spread": [min(ratios), max(ratios)],
        "cores": os.cpu_count(),
        # A busy machine spoils wall-clock times; processor time says what a single core would have taken.
        "batch_cpu_seconds": statistics.median(ours["cpu"]),
        "pandas_cpu_seconds": statistics.median(theirs["cpu"]),
        "cpu_ratio": statistics.median(theirs["cpu"]) / statistics.median(ours["cpu"]),
        "output_bytes": ours["output_bytes"],
        "peak_over_output": ours["peak_bytes"] / ours["output_bytes"],
    }


def show(record: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table("rows", "batch s", "pandas s", "times as fast", "spread", "by CPU time", "peak / output")
    for size in record["sizes"]:
        low, high = size["ratio_spread"]
        cells = [f"{size['rows']:,}", f"{size['batch_seconds']:.3f}", f"{size['pandas_seconds']:.3f}"]
        cells += [f"{size['ratio']:.1f}", f"{low:.1f}–{high:.1f}", f"{size['cpu_ratio']:.1f}"]
        table.add_row(*cells, f"{size['peak_over_output']:.2f}")
    console, online, agreement = Console(), record["online"], record["agreement"]
    console.print(table)
    console.print(f"the batch engine on {os.cpu_count()} cores, pandas on one")
    shown = f"{online['median']:.0f} µs ({online['cpu_micros']:.0f} µs of CPU time)"
    console.print(f"online: {shown} a row of {online['features']} features")
    console.print(f"largest difference: {agreement['largest']:.1g} of the largest value ({agreement['feature']})")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(
    rows: Annotated[list[int] | None, typer.Option(help="Sizes; 43,824 when absent.")] = None,
    repeats: Annotated[int, typer.Option(help="Repeats; three at most above a million rows.")] = 5,
    json_path: Annotated[Path | None, typer.Option("--json", help="Where to write the record.")] = None,
    only: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure the feature engines."""
    sizes = rows or [43_824]
    if only is not None:
        typer.echo(json.dumps(_RUNS[only](sizes[0], repeats)))
        return
    online = measure("online", sizes[0], repeats)
    record = {
        "agreement": measure("agreement", min(max(sizes), 5 * 43_824), 1),
        "sizes": [compare(size, repeats if size <= 1_000_000 else min(repeats, 3)) for size in sizes],
        "online": {**online, "median": statistics.median(online["micros"])},
    }
    show(record)
    if json_path is not None:
        json_path.write_text(pretty_json(record), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
