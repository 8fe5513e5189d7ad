"""The prediction cache: hits, bound, eviction, and a model that was swapped."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from almanac.model.bundle import load_bundle
from monitoring.metrics import CACHE, CACHE_SIZE, Metrics
from serving.build import Server, build
from serving.features.records import EntityRequest
from serving.operations.warmup import reader, seed
from serving.prediction.cache import PredictionCache
from serving.runtime.http import Request
from serving.settings import Settings
from tests.support.server import NUMBERS, Start, as_row, write_model
from tests.system.serving.test_operation import PREDICT, total


def counts(metrics: Metrics) -> tuple[float, float, float]:
    """Return hits, misses and entries."""
    looked = [metrics.counter(CACHE).labels(result)._value.get() for result in ("hit", "miss")]
    return looked[0], looked[1], metrics.gauge(CACHE_SIZE)._value.get()


def test_the_least_recently_used_answer_goes_first() -> None:
    metrics = Metrics(CollectorRegistry())
    cache: PredictionCache[str] = PredictionCache(3, metrics)
    for key in "abc":
        assert cache.get(key) is None
        cache.put(key, key.upper())
    assert cache.get("a") == "A"
    cache.put("d", "D")
    assert [cache.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    assert counts(metrics) == (4, 4, 3)
    cache.put("d", "E")
    assert (cache.get("d"), counts(metrics)[2]) == ("E", 3)


def test_the_size_bounds_what_a_server_keeps(start: Start, feature_rows: np.ndarray) -> None:
    server = start("--cache-size", "4", "--drift-seconds", "0")

    def ask(at: int, model: str = "pm25_1h") -> Any:
        return server.post(f"/v1/models/{model}:predict", {"instances": [as_row(feature_rows[at])]}).json

    def looked() -> tuple[float, float, float]:
        name = "almanac_cache_requests_total"
        found = [total(server, name, result=result) for result in ("hit", "miss")]
        return found[0], found[1], total(server, "almanac_cache_entries")

    first = ask(0)
    assert looked() == (0, 1, 1)
    assert ask(0) == first
    assert looked() == (1, 1, 1)
    assert ask(0, "pm25_6h")["predictions"] != first["predictions"]  # another model, the same row
    assert looked() == (1, 2, 2)
    for at in range(1, 6):
        ask(at)
    assert looked() == (1, 7, 4)
    assert ask(5) == ask(5)
    assert ask(0) == first
    assert looked() == (3, 8, 4)
    missing = {"instances": [as_row(feature_rows[9]) | {"temp": None}]}
    assert server.post(PREDICT, missing).json == server.post(PREDICT, missing).json
    assert looked() == (4, 9, 4)


def with_server(model: Path, work: Callable[[Server], Any], **options: Any) -> Any:
    async def run() -> Any:
        server = build(Settings(model=[str(model)], drift_seconds=0, access_log="off", **options))
        try:
            return await work(server)
        finally:
            await server.close()

    return asyncio.run(run())


def test_a_moment_with_a_gap_in_its_history_is_found_again(
    model_dir: Path, tmp_path: Path, beijing: pl.DataFrame
) -> None:
    month = beijing.tail(100).with_columns(
        pl.when(pl.int_range(pl.len()) == 75).then(None).otherwise(pl.col(name)).alias(name) for name in NUMBERS
    )
    month.write_parquet(tmp_path / "rows.parquet")

    async def twice(server: Server) -> None:
        bundle = server.repository.traffic.primary
        async with reader() as child:
            newest = await seed(child, tmp_path / "rows.parquet", bundle, server.feature_sets.of("air"))
        assert newest is not None
        target = bundle.targets["pm25_1h"]
        for at, hits in ((99, 1), (98, 2)):  # the lag of 24 hours is the gap in one of them
            moment = EntityRequest("instances[0]", newest["entity"], month["timestamp"][at].isoformat(), None)
            features = await server.feature_sets.of("air").row(target, moment, [])
            assert np.isnan(features).any() == (at == 99)
            first, again = (
                await server.service.predict_request(bundle, target, moment),
                await server.service.predict_request(bundle, target, moment),
            )
            assert first == again
            assert first[0].prediction == target.predict(features[None]).prediction[0]
            assert counts(server.metrics) == (hits, hits, hits)

    with_server(model_dir, twice)


def test_a_swapped_model_starts_afresh(model_dir: Path, tmp_path: Path, feature_rows: np.ndarray, beijing: Any) -> None:
    other = load_bundle(write_model(tmp_path / "other", beijing, trees=5))
    row = feature_rows[0]

    async def swapped(server: Server) -> None:
        def ask() -> float:
            return server.service.predict_row(server.repository.traffic.primary.targets["pm25_1h"], row)[0].prediction

        before, running = ask(), server.repository.traffic.primary
        server.repository.swap(other)
        after = ask()
        assert after != before
        assert after == pytest.approx(other.targets["pm25_1h"].predict(feature_rows[:1]).prediction[0], rel=1e-12)
        server.repository.swap(running)
        assert ask() == before
        assert counts(server.metrics) == (1, 2, 2)

    with_server(model_dir, swapped)


def test_of_a_version_that_is_no_longer_served_nothing_is_kept(
    model_dir: Path, tmp_path: Path, feature_rows: np.ndarray, beijing: Any
) -> None:
    other = load_bundle(write_model(tmp_path / "other", beijing, trees=5))

    async def swapped(server: Server) -> None:
        match = server.app.router.find("POST", "/v1/models/pm25_1h:predict")
        v1, repository = match.route.handler.__self__, server.repository  # type: ignore[attr-defined]
        body = json.dumps({"instances": [as_row(feature_rows[0])]}).encode()
        for bundle in (repository.traffic.primary, other, repository.traffic.primary):
            repository.swap(bundle)
            request = Request("POST", "/v1/models/pm25_1h:predict", {}, "client", body, model="pm25_1h")
            assert (await v1.predict(request)).status == 200
            assert {digest for digest, _, _ in v1._entries} == {bundle.digest}
            assert set(server.service.counters._counters) <= {model.digest for model in bundle.targets.values()}

    with_server(model_dir, swapped)


def test_without_a_size_nothing_is_kept(model_dir: Path, feature_rows: np.ndarray) -> None:
    row = feature_rows[0]

    async def asked(server: Server) -> None:
        target = server.repository.traffic.primary.targets["pm25_1h"]
        assert server.service.predict_row(target, row) == server.service.predict_row(target, row)
        assert counts(server.metrics) == (0, 0, 0)

    with_server(model_dir, asked, cache_size=0)
