"""What a server follows goes on being followed, whatever becomes of one version; and what a faulty version is told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from almanac.core.errors import ModelError
from almanac.core.files import read_json, write_json
from almanac.model.bundle import Bundle, load_bundle
from monitoring.metrics import MODEL_SWAPS, Metrics
from serving.operations.hot_reload import follow_promotions, share_repository
from serving.prediction.repository import Repository
from serving.prediction.source import Source
from serving.prediction.traffic import Traffic
from serving.prediction.use_case import ServedUseCase
from tests.support.server import altered, write_model


@pytest.fixture(scope="module")
def second_model(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    return write_model(tmp_path_factory.mktemp("second") / "model", beijing, trees=5)


@dataclass(frozen=True)
class Faulty(Source):
    """A source that raises before it has a version."""

    faults: list[Exception] = field(default_factory=list)

    follows_promotions = True

    def current(self) -> str:
        return "2"

    def load(self) -> Bundle:
        if self.faults:
            raise self.faults.pop()
        return load_bundle(Path(self.address), "2")


class Moving(Source):
    """A source whose address changes."""

    def __init__(self, place: list[Path]) -> None:
        super().__init__("moving")
        object.__setattr__(self, "place", place)

    def load(self) -> Bundle:
        place: list[Path] = vars(self)["place"]
        return load_bundle(place[0])


def swaps(metrics: Metrics, result: str) -> float:
    return float(metrics.counter(MODEL_SWAPS).labels(result)._value.get())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_fault_of_any_kind_does_not_end_the_following(
    model_dir: Path, second_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Faulty(
        str(second_model), faults=[KeyError("names"), RuntimeError("odd"), ModelError("model.bst: altered")]
    )
    use_case, metrics = ServedUseCase(source, Traffic(load_bundle(model_dir, "1"))), Metrics(CollectorRegistry())
    repository = Repository([use_case])

    async def run() -> None:
        task = asyncio.create_task(follow_promotions(repository, use_case, 0.01, metrics))
        await until(lambda: repository.traffic.primary.version == "2")
        assert not task.done()
        task.cancel()

    asyncio.run(run())
    assert [swaps(metrics, result) for result in ("failed", "done")] == [3, 1]
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [line.partition(": ")[2] for line in told] == [
        "model.bst: altered",
        "RuntimeError: odd",
        "KeyError: 'names'",
    ]


def test_workers_end_with_the_same_version_and_models(model_dir: Path, second_model: Path, tmp_path: Path) -> None:
    place, metrics = [model_dir], Metrics(CollectorRegistry())
    loaded = load_bundle(model_dir)
    workers = [Repository([ServedUseCase(Moving(place), Traffic(loaded))]) for _ in range(3)]

    async def run() -> None:
        shared = tmp_path / "repository.json"
        tasks = [asyncio.create_task(share_repository(worker, shared, metrics)) for worker in workers]
        await asyncio.sleep(0.6)
        place[0] = second_model
        workers[1].unload("pm25_6h")
        await workers[0].load("pm25_1h")
        second = workers[0].traffic.primary.digest
        assert second != loaded.digest
        await until(lambda: all(w.traffic.primary.digest == second and w.unloaded == {"pm25_6h"} for w in workers))
        place[0] = tmp_path  # no model stands there
        shared.unlink()
        write_json(shared, {"unloaded": [], "digests": {"air": loaded.digest}})
        await until(lambda: swaps(metrics, "failed") >= 3)
        assert {w.traffic.primary.digest for w in workers} == {second}
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()

    asyncio.run(run())


def drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def put(value: Any, *path: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("features.json", drop("names"), r"features.json: the field 'names' is missing"),
        ("features.json", put("pm25", "names"), r"features.json: names is text; expected a list"),
        ("features.json", put(5, "names", 0), r"features.json: names\[0\]: a number; expected text"),
        ("signature.json", drop("features", 0, "name"), r"signature.json: features\[0\]: the field 'name' is missing"),
        ("signature.json", put(5, "features", 1), r"signature.json: features\[1\]: a number; expected an object"),
        (
            "signature.json",
            put("x", "features", 0, "min"),
            r"signature.json: features\[0\].min: text; expected a number",
        ),
        ("signature.json", drop("inputs"), r"signature.json: the field 'inputs' is missing"),
        ("signature.json", drop("inputs", 1, "type"), r"signature.json: inputs\[1\]: the field 'type' is missing"),
        ("signature.json", put(["a"], "decision", "thresholds"), r"decision.thresholds\[0\]: text; expected a number"),
        ("signature.json", put(["a"], "decision", "names"), r"decision.names: 1 where 3 thresholds need 4"),
        ("intervals.json", drop("edges"), r"intervals.json: the field 'edges' is missing"),
    ],
)
def test_a_document_that_lacks_a_field_is_named(
    name: str, change: Callable[[Any], None], word: str, model_dir: Path, tmp_path: Path
) -> None:
    def edit(directory: Path) -> None:
        document = read_json(directory / name)
        change(document)
        write_json(directory / name, document)

    with pytest.raises(ModelError, match=word):
        load_bundle(altered(model_dir, tmp_path / "model", edit))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (drop("files", "model.bst", "sha256"), "files: model.bst has no sha256"),
        (put([], "files"), "files must hold an object"),
        (drop("target"), "the field 'target' is missing"),
    ],
)
def test_a_manifest_that_lacks_a_field_is_named(
    change: Callable[[Any], None], word: str, model_dir: Path, tmp_path: Path
) -> None:
    copy = altered(model_dir, tmp_path / "model", lambda directory: None)
    path = copy / "pm25_1h" / "manifest.json"
    manifest = read_json(path)
    change(manifest)
    write_json(path, manifest)
    from almanac.model.directory import read_directory

    with pytest.raises(ModelError, match=word):
        read_directory(path.parent)
