"""Orders are taken one after the other, and one that fails holds up none behind it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from almanac.core.errors import ServingError
from monitoring.metrics import Metrics
from serving.operations.maintenance import LogLevel, Maintenance
from serving.runtime.line_writer import LineWriter, LogState

Made = Callable[..., Maintenance]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    writer = LineWriter(tmp_path / "log", msgspec.json.encode, LogState("access", Metrics(CollectorRegistry())))

    def made(done: list[str], refuses: str = "") -> Maintenance:
        async def load(name: str) -> None:
            await asyncio.sleep(0)
            done.append(name)
            if name == refuses:
                raise ServingError(f"{name}: cannot be loaded")

        return Maintenance(lambda: done.append("cleared"), load, LogLevel([], writer, "off"), tmp_path)

    yield made
    writer.close()


def test_an_order_that_fails_in_one_worker_is_not_repeated_and_holds_up_none(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    here: list[str] = []
    there: list[str] = []
    sender, follower = made(here), made(there, refuses="air")

    async def orders() -> None:
        await sender.take("a", "reload", "air")
        await sender.take("b", "clear_caches")
        await follower.follow()
        await follower.follow()

    asyncio.run(orders())
    assert here == there == ["air", "cleared"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "order a: reload air failed: air: cannot be loaded"
    ]


def test_an_order_that_is_repeated_while_it_is_carried_out_is_carried_out_once(made: Made) -> None:
    done: list[str] = []
    worker = made(done)

    async def orders() -> None:
        await asyncio.gather(*(worker.take("a", "reload", "air") for _ in range(3)))

    asyncio.run(orders())
    assert done == ["air"]


def test_an_order_that_is_refused_may_be_sent_again(made: Made) -> None:
    done: list[str] = []
    worker = made(done, refuses="air")
    for _ in range(2):
        with pytest.raises(ServingError, match="cannot be loaded"):
            asyncio.run(worker.take("a", "reload", "air"))
    assert (done, worker.describe()["orders"]) == (["air", "air"], [])
