"""Many rows through features and drift in bounded memory: `python -m benchmarks.distributed --rows 50000000`.

The table is a panel of stations, the real series shifted by another amount at each, in Parquet files that are written
as they are needed and deleted as they are consumed. Features are computed by the Dask engine as preprocessing does it:
in partitions on worker processes, gathered in order into one file. Drift then profiles each file on a worker, merges
the profiles, and compares each with a reference, in the columns that the pipeline's own drift step watches. What is
printed is rows a second of each part, by the clock and by the seconds that all processes computed, and the most memory
that each process ever had.
"""

import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from almanac import drift
from almanac.core import dask_workers
from almanac.core.files import pretty_json
from almanac.data.ingest import ingest
from almanac.features.fit import fit
from almanac.features.partitions import computed
from almanac.features.preprocess import PARQUET
from almanac.features.spec import FeatureSpec
from almanac.features.split import train_test
from almanac.usecase import UseCase
from almanac.usecase.override import load_with

ROOT = Path(__file__).resolve().parent.parent
ENTITY = "station"
#: Stations of a file: about half a million rows.
STATIONS = 12


def series() -> tuple[UseCase, pl.DataFrame]:
    """Return the reference use case with stations, and the real series."""
    case = load_with(ROOT / "usecases" / "air_quality.yaml", [f"entity={ENTITY}", "training.engine=dask"])
    alone = load_with(ROOT / "usecases" / "air_quality.yaml", [])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "table.parquet"
        ingest(alone, ROOT / "usecases", ROOT / ".cache", path)
        return case, pl.read_parquet(path)


def write_stations(table: pl.DataFrame, case: UseCase, first: int, path: Path) -> None:
    """Write the stations numbered from `first` on as one raw table."""
    numbers = [name for name, column in case.columns.items() if column.type != "category"]
    frames = [
        table.with_columns(
            pl.lit(f"{station:06}").alias(ENTITY), *(pl.col(name) + 0.25 * (station % 7) for name in numbers)
        )
        for station in range(first, first + STATIONS)
    ]
    pl.concat(frames).write_parquet(path)


def watch(features: str, reference: str) -> tuple[str, bool]:
    """Profile a file in the cells of the reference, and compare it with the reference; on a worker."""
    known = drift.from_json(json.loads(reference))
    made = drift.profile(features, like=known)
    return json.dumps(made.to_json()), drift.compare(known, features).drifted


def peak() -> dict[str, int]:
    """Return the process and the most memory that it ever had, in MB."""
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {"pid": int(fields["Pid"]), "peak_mb": int(fields["VmHWM"].split()[0]) // 1024}


def run(rows: int, tell: Any) -> dict[str, Any]:
    """Send about so many rows through features and drift; return rows, seconds and peaks of memory."""
    case, table = series()
    rounds = -(-rows // (2 * STATIONS * table.height))
    seconds, used = {name: dict.fromkeys(("raw", "features", "drift"), 0.0) for name in ("wall", "cpu")}.values()
    merged: drift.Profile | None = None
    reference, drifted, started = "", 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, dask_workers.start(case.training.dask) as found:

        def cpu() -> float:
            others = found.client.run(time.process_time, workers=found.addresses)
            return time.process_time() + sum(map(float, others.values()))

        def clock(name: str) -> Clock:
            return Clock(name, (seconds, time.perf_counter), (used, cpu))

        spec = fit(case, table.with_columns(pl.lit("").alias(ENTITY)), train_test(case, table["timestamp"])[0])
        for number in range(rounds):
            files = []
            for half in range(2):
                raw, features = (Path(scratch) / f"{name}{half}.parquet" for name in ("raw", "features"))
                with clock("raw"):
                    write_stations(table, case, (2 * number + half) * STATIONS, raw)
                with clock("features"):
                    computed(case, spec, pl.scan_parquet(raw), found).sink_parquet(features, **PARQUET)
                files.append(features)
            with clock("drift"):
                reference = reference or json.dumps(first_profile(case, spec, files[0]).to_json())
                for future in [found.submit(watch, str(path), reference) for path in files]:
                    document, alarm = found.result(future)
                    part = drift.from_json(json.loads(document))
                    merged = part if merged is None else drift.merge([merged, part])
                    drifted += alarm
            gc.collect()
            tell(
                f"{merged.rows if merged else 0:,} rows, {time.perf_counter() - started:.0f} s, {peak()['peak_mb']} MB"
            )
        peaks = [peak(), *found.client.run(peak, workers=found.addresses).values()]
    assert merged is not None
    done = 2 * rounds * STATIONS * table.height
    assert merged.rows == done
    return {
        "rows": done,
        "features": len(spec.names),
        "watched": len(merged.features),
        "rows_per_second": {name: round(done / spent) for name, spent in seconds.items()},
        "seconds": {name: round(spent, 1) for name, spent in seconds.items()},
        "cpu_seconds": {name: round(spent, 1) for name, spent in used.items()},
        "alarms": drifted,
        "peak_mb": {
            "task": peaks[0]["peak_mb"],
            **{f"worker {k}": one["peak_mb"] for k, one in enumerate(peaks[1:], 1)},
        },
    }


def first_profile(case: UseCase, spec: FeatureSpec, path: Path) -> drift.Profile:
    """Return the reference that all files are counted like."""
    columns = [name for name in spec.names if name in case.columns]
    return drift.profile(path, columns=columns, time=spec.time, entity=ENTITY, window=case.drift.window)


class Clock:
    """Adds the cost of a block to the cost of its name, by each of some measures."""

    def __init__(self, name: str, *measures: tuple[dict[str, float], Callable[[], float]]) -> None:
        self._name, self._measures = name, measures

    def __enter__(self) -> None:
        self._started = [now() for _, now in self._measures]

    def __exit__(self, *_: object) -> None:
        for (taken, now), started in zip(self._measures, self._started, strict=True):
            taken[self._name] += now() - started


def main(rows: Annotated[int, typer.Option(help="Rows to send through, about.")] = 50_000_000) -> None:
    """Measure, and print the figures as JSON."""
    print(pretty_json(run(rows, lambda text: print(text, flush=True))), end="")


if __name__ == "__main__":
    typer.run(main)
