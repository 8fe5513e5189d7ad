"""Versions whose raw columns differ from those that the feature store was opened with: the same number or a refusal."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import ServingError
from almanac.core.files import read_json, write_json
from almanac.model.bundle import load_bundle
from governance.registry import Registry
from serving.build import Server, build
from serving.features.event_store import EventStore
from serving.features.records import EntityRequest
from serving.operations.warmup import reader, seed
from serving.runtime.errors import HTTPError
from serving.settings import Settings
from tests.support.server import Start, altered, wait_for
from tests.system.serving.test_operation import register, total
from tests.system.serving.test_store import ingest

Change = Callable[[dict[str, Any]], None]


def signed(change: Change) -> Callable[[Path], None]:
    """Return what changes a target's signature."""

    def edit(directory: Path) -> None:
        signature = read_json(directory / "signature.json")
        change(signature)
        write_json(directory / "signature.json", signature)

    return edit


def reverse_columns(signature: dict[str, Any]) -> None:
    signature["inputs"].reverse()


def reverse_categories(signature: dict[str, Any]) -> None:
    next(item for item in signature["inputs"] if item["name"] == "cbwd")["categories"].reverse()


def one_more(signature: dict[str, Any]) -> None:
    signature["inputs"].insert(1, {"name": "ozone", "type": "float", "nullable": True})


def rename_column(directory: Path) -> None:
    """Let the same trees be made of a column of another name."""
    for name in ("model.bst", "features.json", "signature.json"):
        path = directory / name
        path.write_bytes(path.read_bytes().replace(b"dewp", b"dewx"))


def forget_category(directory: Path) -> None:
    def change(signature: dict[str, Any]) -> None:
        for item in (*signature["inputs"], *signature["features"]):
            if item["name"] == "cbwd":
                item["categories"].remove("cv")

    signed(change)(directory)
    document = read_json(directory / "features.json")
    document["spec"]["categories"]["cbwd"].remove("cv")
    write_json(directory / "features.json", document)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    path = tmp_path_factory.mktemp("history") / "rows.parquet"
    beijing.tail(720).write_parquet(path)
    return path


def opened(model: Path, history: Path, work: Callable[[Server, EntityRequest], Any], **options: Any) -> Any:
    """Run `work` with a server whose store has history, and the newest moment of that."""

    async def run() -> Any:
        server = build(Settings(model=[str(model)], drift_seconds=0, access_log="off", **options))
        try:
            server.feature_sets.of("air").warm(server.repository.traffic.primary)
            async with reader() as child:
                newest = await seed(child, history, server.repository.traffic.primary, server.feature_sets.of("air"))
            assert newest is not None
            return await work(server, EntityRequest("instances[0]", newest["entity"], newest["time"], None))
        finally:
            await server.close()

    return asyncio.run(run())


async def by_every_way(server: Server, moment: EntityRequest) -> list[float]:
    """Return the predictions of a moment: alone, and by the model of all targets."""
    bundle = server.repository.traffic.primary
    alone = [
        (await server.service.predict_request(bundle, target, moment))[0].prediction
        for target in bundle.targets.values()
    ]
    together = (await server.service.predict(bundle, "air", [moment] * 3)).outcomes
    return [*alone, *(value for outcome in together.values() for value in outcome.prediction.tolist())]


@pytest.mark.parametrize("change", [reverse_columns, reverse_categories, one_more])
def test_columns_and_categories_of_the_store_are_found_by_name(
    change: Change, model_dir: Path, history: Path, tmp_path: Path
) -> None:
    other = altered(model_dir, tmp_path / "other", signed(change))

    async def swapped(server: Server, moment: EntityRequest) -> tuple[list[float], list[float]]:
        before = await by_every_way(server, moment)
        bundle = load_bundle(other)
        server.feature_sets.of("air").check(bundle)
        server.repository.swap(bundle)
        return before, await by_every_way(server, moment)

    before, after = opened(model_dir, history, swapped)
    assert len(set(before)) == 2
    assert after == before
    fresh = other if change is not one_more else model_dir  # a file without the new column fills no store with it
    assert opened(fresh, history, by_every_way) == before


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (rename_column, "keeps no column dewx; restart it with this version"),
        (signed(lambda s: s["inputs"][-1].update(type="float", categories=None)), "cbwd"),
    ],
)
def test_a_version_that_the_store_cannot_feed_is_refused(
    change: Callable[[Path], None], word: str, model_dir: Path, history: Path, tmp_path: Path
) -> None:
    bundle = load_bundle(altered(model_dir, tmp_path / "other", change))

    async def swapped(server: Server, moment: EntityRequest) -> None:
        with pytest.raises(Exception, match=word) as refused:
            server.feature_sets.of("air").check(bundle)
        assert not isinstance(refused.value, HTTPError)
        server.repository.swap(bundle)  # as the second version of a split, which nobody checks
        for ask in (
            server.service.predict_request(bundle, bundle.targets["pm25_1h"], moment),
            by_every_way(server, moment),
        ):
            with pytest.raises(HTTPError, match=word):
                await ask

    opened(model_dir, history, swapped)


def test_a_stored_category_that_a_version_does_not_know_is_refused_where_it_occurs(
    model_dir: Path, history: Path, tmp_path: Path, beijing: pl.DataFrame
) -> None:
    bundle = load_bundle(altered(model_dir, tmp_path / "other", forget_category))
    calm = beijing.tail(600)["cbwd"].to_list()

    async def swapped(server: Server, moment: EntityRequest) -> None:
        server.feature_sets.of("air").check(bundle)
        times, refused = beijing.tail(600)["timestamp"].to_list(), 0
        target, plain = bundle.targets["pm25_1h"], server.repository.traffic.primary.targets["pm25_1h"]
        for at in range(30, 600, 57):
            asked = EntityRequest("instances[0]", "default", times[at].isoformat(), None)
            if "cv" in calm[at - 24 : at + 1]:
                refused += 1
                with pytest.raises(HTTPError, match="the history has cbwd 'cv', a category that this version"):
                    await server.service.predict_request(bundle, target, asked)
            else:
                found = await server.service.predict_request(bundle, target, asked)
                assert (
                    found[0].prediction
                    == (await server.service.predict_request(server.repository.traffic.primary, plain, asked))[
                        0
                    ].prediction
                )
        assert 0 < refused < 10

    opened(model_dir, history, swapped)


def test_a_version_that_looks_back_beyond_the_store_is_refused(model_dir: Path, history: Path) -> None:
    async def shorter(server: Server, moment: EntityRequest) -> None:
        store = server.feature_sets.of("air").ingestor.store
        assert not isinstance(store, EventStore)
        store.most = 24
        for plan in server.feature_sets.of("air")._plans.values():
            plan.stored = None
        with pytest.raises(ServingError, match="the newest 24 rows where the model looks back on 25"):
            server.feature_sets.of("air").check(server.repository.traffic.primary)

    opened(model_dir, history, shorter)


def test_a_promotion_that_the_store_cannot_feed_leaves_the_running_version(
    start: Start, tmp_path: Path, model_dir: Path, beijing: pl.DataFrame
) -> None:
    url, month = tmp_path / "registry", beijing.tail(100)
    registry = Registry(url)
    register(registry, model_dir, tmp_path / "one")
    environment = {"ALMANAC_REGISTRY": str(url), "ALMANAC_CACHE": str(tmp_path / "cache")}
    server = start("--poll-seconds", "0.2", model="registry:air/production", environment=environment)
    ingest(server, month)
    body = {"instances": [{"entity": "default", "time": month["timestamp"][-1].isoformat()}]}
    before = server.post("/v1/models/air:predict", body).json
    register(registry, altered(model_dir, tmp_path / "renamed", rename_column), tmp_path / "two")
    wait_for(lambda: total(server, "almanac_model_swaps_total", result="failed") >= 1)
    assert server.post("/v1/models/air:predict", body).json == before
    refused = server.post("/v2/repository/models/air/load", b"")
    assert (refused.status, "keeps no column dewx" in refused.json["error"]) == (503, True)
    register(registry, altered(model_dir, tmp_path / "turned", signed(reverse_columns)), tmp_path / "three")
    wait_for(lambda: server.post("/v1/models/air:predict", body).json["model_version"] == "3")
    after = server.post("/v1/models/air:predict", body).json
    assert after["predictions"] == before["predictions"]
    assert "the promoted version was not taken: pm25_1h: the feature store" in server.stop()


def test_the_second_version_of_a_split_reads_the_store_by_name(
    start: Start, tmp_path: Path, model_dir: Path, beijing: pl.DataFrame
) -> None:
    month = beijing.tail(100)
    body = {"instances": [{"entity": "default", "time": month["timestamp"][-1].isoformat()}]}
    plain = start()
    ingest(plain, month)
    expected = plain.post("/v1/models/pm25_1h:predict", body).json["predictions"]
    turned = altered(model_dir, tmp_path / "turned", signed(reverse_columns))
    split = start("--second", str(turned), "--second-share", "1")
    ingest(split, month)
    assert split.post("/v1/models/pm25_1h:predict", body).json["predictions"] == expected
    other = start("--second", str(altered(model_dir, tmp_path / "other", rename_column)), "--second-share", "1")
    ingest(other, month)
    answer = other.post("/v1/models/pm25_1h:predict", body)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "keeps no column dewx" in answer.json["error"]


def test_what_a_shadow_cannot_compute_is_counted_and_logged(
    start: Start, tmp_path: Path, model_dir: Path, beijing: pl.DataFrame
) -> None:
    month = beijing.tail(100)
    body = {"instances": [{"entity": "default", "time": month["timestamp"][-1].isoformat()}]}
    other = altered(model_dir, tmp_path / "other", rename_column)
    server = start("--second", str(other), "--second-role", "shadow", "--second-share", "1")
    ingest(server, month)
    for _ in range(5):
        assert server.post("/v1/models/pm25_1h:predict", body).status == 200
    wait_for(lambda: total(server, "almanac_shadow_errors_total", model="pm25_1h") == 5)
    log = server.stop()
    assert log.count("shadow version") == 1
    assert "keeps no column dewx" in log
