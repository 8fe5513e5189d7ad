"""Live drift of several workers: each counts for its window, and one that ended no longer than that."""

import asyncio
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from almanac import drift
from almanac.core.files import read_json, write_json
from almanac.model.bundle import Bundle, load_bundle
from monitoring.metrics import DRIFT_ROWS, Metrics
from serving.operations.live_drift import WINDOW_SECONDS, LiveDrift
from serving.prediction.traffic import Traffic
from tests.support.server import NUMBERS, altered


@pytest.fixture(scope="module")
def bundle(model_dir: Path, tmp_path_factory: pytest.TempPathFactory, feature_rows: np.ndarray) -> Bundle:
    table = pl.DataFrame(feature_rows[:, : len(NUMBERS)], schema=list(NUMBERS))
    document = drift.profile(table).to_json()
    change = lambda directory: write_json(directory / "reference.json", document)  # noqa: E731
    return load_bundle(altered(model_dir, tmp_path_factory.mktemp("watched") / "model", change))


def shown(watch: LiveDrift, metrics: Metrics) -> float:
    """Return the rows of the live window as the metrics show them."""
    watch.publish()
    return float(metrics.gauge(DRIFT_ROWS).labels("pm25_1h")._value.get())


def test_a_worker_that_ended_counts_until_its_window_does(
    bundle: Bundle, tmp_path: Path, feature_rows: np.ndarray
) -> None:
    target, metrics = bundle.targets["pm25_1h"], Metrics(CollectorRegistry())

    def worker() -> LiveDrift:
        watch = LiveDrift(metrics, tmp_path)
        watch.follow("air", Traffic(bundle))
        watch._open()
        return watch

    first = worker()
    first.see(target, feature_rows[:300])
    assert shown(first, metrics) == 300
    (left,) = tmp_path.glob(f"drift-{target.digest[:16]}-*.json")
    ended = left.rename(left.with_name(left.name.rpartition("-")[0] + "-1.json"))
    old = tmp_path / "drift-0123456789abcdef-1.json"  # of a version that was replaced
    write_json(old, read_json(ended))
    second = worker()
    second.see(target, feature_rows[:50])
    assert shown(second, metrics) == 350
    for path in (ended, old):
        write_json(path, read_json(path) | {"began": time.time() - WINDOW_SECONDS - 3600})
    assert shown(second, metrics) == 50
    assert not ended.exists()
    assert not old.exists()


def test_single_rows_and_many_are_counted_in_any_order(bundle: Bundle, feature_rows: np.ndarray) -> None:
    metrics = Metrics(CollectorRegistry())
    watch = LiveDrift(metrics, None)
    watch.follow("air", Traffic(bundle))
    watch._open()
    seen = 0
    for many in (256, 128, 127, 1, 512, 255):  # among them what just fills the block that rows are counted in
        watch.see(bundle.targets["pm25_1h"], feature_rows[:many])
        watch.see_row(bundle.targets["pm25_1h"], feature_rows[0])
        seen += many + 1
    assert shown(watch, metrics) == seen


def test_what_fails_once_is_told_and_tried_again(
    bundle: Bundle, feature_rows: np.ndarray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(CollectorRegistry())
    watch, left = LiveDrift(metrics, None), ["the disk is away"]
    publish = watch.publish
    monkeypatch.setattr(watch, "publish", lambda: _raise(left.pop()) if left else publish())
    watch.follow("air", Traffic(bundle))
    watch._open()
    watch.see(bundle.targets["pm25_1h"], feature_rows[:10])

    async def rounds() -> None:
        task = asyncio.create_task(watch.run(0.01))
        async with asyncio.timeout(20):
            while metrics.gauge(DRIFT_ROWS).labels("pm25_1h")._value.get() != 10:
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(rounds())
    assert "drift metrics were not updated: RuntimeError: the disk is away" in caplog.text


def _raise(text: str) -> None:
    raise RuntimeError(text)
