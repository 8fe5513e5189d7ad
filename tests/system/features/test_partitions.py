"""Features in partitions: to the last bit those of the whole table, on processes of their own too."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from almanac.core import dask_workers
from almanac.core.errors import FeatureError, UnreachableError, WorkerError
from almanac.core.files import sha256_file
from almanac.features.fit import fit
from almanac.features.partitions import computed, features_of, packed, plan, unpacked, work
from almanac.features.preprocess import preprocess
from almanac.features.spec import FeatureSpec
from almanac.features.split import train_test
from almanac.usecase import UseCase
from almanac.usecase.override import load_with
from almanac.usecase.training_section import Dask
from tests.support import small

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "usecases" / "air_quality.yaml"


@pytest.fixture(scope="module")
def case() -> UseCase:
    return load_with(REFERENCE, ["entity=station", "features.cutoff=2h"])


@pytest.fixture(scope="module")
def panel(beijing: pl.DataFrame) -> pl.DataFrame:
    """Parts of the real series as six stations: long, short, of one row, with gaps, and out of step with the others."""
    rng = np.random.default_rng(7)
    parts = [
        beijing.head(9_000),
        beijing.slice(20_000, 3_000).filter(pl.Series(rng.random(3_000) < 0.7)),
        beijing.slice(5_000, 1),
        beijing.slice(5_100, 250).with_columns(pl.col("timestamp") + pl.duration(minutes=30)),
        # A gap longer than any feature looks back on, and one of a day.
        pl.concat([beijing.slice(30_000, 400), beijing.slice(31_000, 300), beijing.slice(31_324, 300)]),
        beijing.slice(8_000, 12_000),
    ]
    named = [part.with_columns(pl.lit(f"station_{k}").alias("station")) for k, part in enumerate(parts)]
    return pl.concat(named)


@pytest.fixture(scope="module")
def spec(case: UseCase, panel: pl.DataFrame) -> FeatureSpec:
    return fit(case, panel, train_test(case, panel["timestamp"])[0])


@pytest.fixture(scope="module")
def whole(case: UseCase, spec: FeatureSpec, panel: pl.DataFrame) -> pl.DataFrame:
    return features_of(case, spec, panel)


@pytest.fixture(scope="module")
def found() -> Iterator[dask_workers.Workers]:
    with dask_workers.start(Dask(workers=2)) as found:
        yield found


def in_parts(
    case: UseCase, spec: FeatureSpec, table: pl.DataFrame, size: int, before: int | None = None
) -> pl.DataFrame:
    """The features as workers compute them, partition by partition, in this process."""
    made = []
    for part in plan(table.height, size, before or spec.history, 24):
        rows = table.slice(part.first, part.last - part.first)
        made.append(unpacked(work(case, spec, packed(rows), part)[0]))
    return pl.concat(made)


def assert_same_bits(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    assert ours.schema == theirs.schema
    for name in ours.columns:
        if ours.schema[name] == pl.Float64:
            ours_bits, their_bits = (each[name].to_numpy().view(np.int64) for each in (ours, theirs))
            np.testing.assert_array_equal(ours_bits, their_bits, err_msg=name)
        else:
            assert ours[name].equals(theirs[name]), name


def test_a_plan_covers_every_row_once_and_keeps_halos_within_the_table() -> None:
    parts = plan(10, 4, 3, 2)
    assert [(part.first, part.start, part.stop, part.last) for part in parts] == [
        (0, 0, 4, 6),
        (1, 4, 8, 10),
        (5, 8, 10, 10),
    ]
    assert plan(0, 4, 3, 2) == []


@pytest.mark.parametrize("size", [24_950, 9_001, 8_999, 8_192, 4_097, 1_013, 190])
def test_partitions_give_the_bits_of_the_whole(
    case: UseCase, spec: FeatureSpec, panel: pl.DataFrame, whole: pl.DataFrame, size: int
) -> None:
    """Borders fall within, at and next to the ends of stations, of gaps and of the engine's own blocks."""
    assert_same_bits(in_parts(case, spec, panel, size), whole)


def test_partitions_of_one_row_give_the_bits_of_the_whole(
    case: UseCase, spec: FeatureSpec, panel: pl.DataFrame
) -> None:
    border = panel.with_row_index().filter(pl.col("station") == "station_2")["index"].item()
    table = panel.slice(border - 30, 60)
    assert table["station"].n_unique() == 3
    assert_same_bits(in_parts(case, spec, table, 1), features_of(case, spec, table))


def test_a_halo_one_row_short_would_be_seen(
    case: UseCase, spec: FeatureSpec, panel: pl.DataFrame, whole: pl.DataFrame
) -> None:
    """A row of a week ago and the two hours of the cutoff are reached; imputation can reach a day beyond."""
    short = spec.history - spec.limit_steps - 2
    with pytest.raises(AssertionError):
        assert_same_bits(in_parts(case, spec, panel, 1_013, short), whole)


def test_processes_of_their_own_give_the_bits_of_the_whole(
    case: UseCase,
    spec: FeatureSpec,
    panel: pl.DataFrame,
    whole: pl.DataFrame,
    found: dask_workers.Workers,
    tmp_path: Path,
) -> None:
    panel.write_parquet(tmp_path / "table.parquet", row_group_size=5_000)
    chopped = load_with(REFERENCE, ["entity=station", "features.cutoff=2h", "training.dask.partition=3001"])
    processes = set(found.client.run(os.getpid).values())
    assert len(processes) == 2
    assert os.getpid() not in processes
    query = computed(chopped, spec, pl.scan_parquet(tmp_path / "table.parquet"), found)
    assert_same_bits(query.collect(), whole)
    assert_same_bits(query.head(4_000).collect(), whole.head(4_000))
    some = query.filter(pl.col("station") == "station_4").select("pm25_mean_168h", "station").collect()
    assert some.height == 1_000
    assert_same_bits(some, whole.filter(pl.col("station") == "station_4").select("pm25_mean_168h", "station"))


def test_the_engine_changes_no_byte_of_what_preprocessing_writes(beijing: pl.DataFrame, tmp_path: Path) -> None:
    beijing.write_parquet(tmp_path / "table.parquet")
    made = {}
    for engine in ("local", "dask"):
        case = load_with(REFERENCE, [f"training.engine={engine}", "training.dask.partition=9973"])
        out = tmp_path / engine
        made[engine] = preprocess(case, tmp_path / "table.parquet", out / "features.parquet", out / "spec.json")
    assert made["dask"] == made["local"]
    for name in ("features.parquet", "spec.json"):
        assert sha256_file(tmp_path / "dask" / name) == sha256_file(tmp_path / "local" / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("unsorted", "in rows 1 to .* of the table: row .* does not come after"),
        ("off the grid", "is off the grid of 1h"),
        ("apart", "rows 1001 to 1500 of the table: the rows of station_0 are apart"),
    ],
)
def test_what_is_wrong_at_a_border_is_named(
    case: UseCase, spec: FeatureSpec, panel: pl.DataFrame, found: dask_workers.Workers, change: str, message: str
) -> None:
    table = panel.head(1_000)
    if change == "unsorted":
        table = pl.concat([table.head(500), table.slice(499, 500)])
    elif change == "off the grid":
        late = pl.int_range(pl.len()) >= 500
        table = table.with_columns(pl.col("timestamp") + pl.duration(minutes=late.cast(pl.Int64)))
    else:
        other = table.with_columns(pl.lit("station_9").alias("station"))
        table = pl.concat([table.head(500), other.head(900), table.tail(500)])
    chopped = load_with(REFERENCE, ["entity=station", "features.cutoff=2h", "training.dask.partition=500"])
    with pytest.raises(FeatureError, match=message):
        computed(chopped, spec, table.lazy(), found).collect()


def test_a_lost_worker_is_told_and_does_not_hang() -> None:
    with dask_workers.start(Dask(workers=2)) as found:
        pids = found.client.run(os.getpid)
        # Its nanny must not put another in its place at once, which would take the loss's place too.
        threading.Timer(1.0, os.kill, (pids[found.addresses[1]], signal.SIGKILL)).start()
        started = time.monotonic()
        task = found.client.submit(time.sleep, 60, workers=[found.addresses[1]], pure=False)
        with pytest.raises(WorkerError, match=re.escape(f"the worker {found.addresses[1]} was lost")):
            found.watch(task.result)
        assert time.monotonic() - started < 30


def test_partitions_of_a_lost_worker_are_computed_by_others(
    case: UseCase, spec: FeatureSpec, panel: pl.DataFrame, whole: pl.DataFrame
) -> None:
    chopped = load_with(REFERENCE, ["entity=station", "features.cutoff=2h", "training.dask.partition=997"])
    with dask_workers.start(Dask(workers=2)) as found:
        victim = found.client.run(os.getpid)[found.addresses[0]]
        threading.Timer(0.5, os.kill, (victim, signal.SIGKILL)).start()
        assert_same_bits(computed(chopped, spec, panel.lazy(), found).collect(), whole)
        assert victim not in found.client.run(os.getpid).values()


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "PATIENCE", 0.5)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=address), dask_workers.start(Dask(address=address)):
            pass
        monkeypatch.setenv(dask_workers.ADDRESS, address)
        with pytest.raises(UnreachableError, match=f"{address} .*DASK_SCHEDULER_ADDRESS"), dask_workers.start(Dask()):
            pass


def test_workers_of_a_scheduler_are_used_and_too_few_are_told(
    found: dask_workers.Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = found.client.scheduler.address
    with dask_workers.start(Dask(address=address, workers=2)) as others:
        assert others.addresses == found.addresses
    with dask_workers.start(Dask(address=address, workers=1)) as one:
        assert one.addresses == found.addresses[:1]
    monkeypatch.setattr(dask_workers, "PATIENCE", 2.0)
    with pytest.raises(WorkerError, match="2 of 3 workers"), dask_workers.start(Dask(address=address, workers=3)):
        pass


def test_workers_of_another_version_are_refused(found: dask_workers.Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("almanac.core.image.VERSION", "9.9.9")
    with (
        pytest.raises(WorkerError, match=r"has almanac 0\.1\.0, this task 9\.9\.9"),
        dask_workers.start(Dask(address=found.client.scheduler.address)),
    ):
        pass


@pytest.mark.parametrize(
    ("absent", "settings", "message"),
    [
        ("distributed", "", r"needs dask\[distributed\] .*, which is not installed"),
        (
            "dask_kubernetes",
            "kubernetes=True",
            "needs dask-kubernetes, which is not installed: pip install dask-kubernetes",
        ),
    ],
)
def test_a_library_that_is_absent_is_named(absent: str, settings: str, message: str) -> None:
    script = (
        f"import sys; sys.modules[{absent!r}] = None\n"
        "from almanac.core import dask_workers as workers\nfrom almanac.usecase.training_section import Dask\n"
        f"with workers.start(Dask({settings})): pass"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert re.search(f"WorkerError: .*{message}", done.stderr), done.stderr


def test_an_address_and_pods_of_its_own_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="either 'address' or 'kubernetes'"):
        small.usecase(
            training={
                "candidates": small.data()["training"]["candidates"],
                "dask": {"address": "tcp://scheduler:8786", "kubernetes": True},
            }
        )


def test_targets_need_the_rows_ahead_of_a_border(case: UseCase, spec: FeatureSpec, panel: pl.DataFrame) -> None:
    """What is a day ahead lies in the next partition for the last day of each."""
    made = in_parts(case, spec, panel.head(9_000), 1_000)
    at = made.filter(pl.col("timestamp") == datetime(2010, 2, 11, 15))["y_pm25_24h"].item()
    assert at == panel.filter(pl.col("timestamp") == datetime(2010, 2, 12, 15))["pm25"].item(0)
