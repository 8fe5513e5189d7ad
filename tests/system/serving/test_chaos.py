"""A mixed load while everything around the server fails in turn: no wrong number, no failed request, all in metrics.

ALMANAC_CHAOS sets the seconds of the load (30 unless told; `make test-chaos` takes ten minutes).
"""

import asyncio
import json
import os
import resource
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.files import write_json
from almanac.model.bundle import load_bundle
from almanac.model.predictor import Rows
from governance.registry import Registry
from tests.support.live import needs
from tests.support.load import Load, Question
from tests.support.server import ROOT, Start, altered, as_row, simple_features, write_model
from tests.system.serving.test_operation import register, total, workers
from tests.system.serving.test_security import create
from tests.system.serving.test_store import Redis, observations
from tests.system.serving.test_store_bounds import in_archive
from tests.system.serving.test_workers import wait_until_all_serve

pytestmark = pytest.mark.alone

SECONDS = float(os.environ.get("ALMANAC_CHAOS", "30"))
#: Share of the greatest rate at which the server is asked.
SHARE = 0.8
_DAY = 86_400
_HOURS = 300


class DurableRedis(Redis):
    """A redis-server that keeps its rows when it is killed."""

    def start(self) -> None:
        (self.folder / "redis.conf").write_text("appendonly yes\nappendfsync always\n")
        super().start()

    def command(self) -> list[str]:
        """Read the configuration first."""
        name, *options = super().command()
        return [name, str(self.folder / "redis.conf"), *options]


class World:
    """A server of two workers with everything that can fail: logs, Redis, a registry, a clock."""

    def __init__(self, folder: Path, models: list[Path], table: pl.DataFrame, start: Start) -> None:
        self.folder, self.registry = folder, folder / "registry"
        self.redis = DurableRedis(folder / "redis")
        self.audit = folder / "logs" / "audit.jsonl"
        self.clock = folder / "clock"
        self.set_clock(0)
        self.versions = [load_bundle(model) for model in models]
        register(Registry(self.registry), models[0], folder / "one")
        self.models = models
        table.write_parquet(folder / "rows.parquet")
        self.key = create(folder / "keys.json", "admin")
        self.server = start(
            *("--workers", "2", "--poll-seconds", "0.5", "--auth", "required", "--keys", str(folder / "keys.json")),
            *("--feature-store", self.redis.url, "--history", str(folder / "rows.parquet")),
            *("--access-log", "off", "--rate-limit", "1000000/s", "--rate-limit-store", self.redis.url),
            *("--audit-log", str(self.audit), "--prediction-log", str(folder / "predictions")),
            model="registry:air/production",
            environment={
                "ALMANAC_REGISTRY": str(self.registry), "ALMANAC_CACHE": str(folder / "cache"),
                "LD_PRELOAD": str(_shim(folder)), "TEST_CLOCK": str(self.clock),
            },
        )  # fmt: skip
        wait_until_all_serve(self.server, 2)

    def set_clock(self, seconds: int) -> None:
        """Set the wall clock of the server, a number of seconds off the real one."""
        with open(self.clock, "r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric of all workers."""
        return total(self.server, name, **labels)

    def add_version(self, number: int, url: Path) -> str:
        """Register a version in a registry, and return its address there."""
        return str(register(Registry(url), self.models[number], self.folder / f"{number}-{time.monotonic_ns()}"))


def _shim(folder: Path) -> Path:
    target = folder / "clock_shim.so"
    source = ROOT / "tests" / "support" / "clock_shim.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(target), str(source), "-ldl"], check=True)
    return target


@pytest.fixture
def world(tmp_path: Path, model_dir: Path, beijing: pl.DataFrame, start: Start) -> Iterator[World]:
    others = [write_model(tmp_path / f"other{trees}", beijing, trees=trees) for trees in (15, 7)]
    models = [
        altered(model, tmp_path / f"archive{number}", in_archive) for number, model in enumerate((model_dir, *others))
    ]
    (tmp_path / "redis").mkdir()
    world = World(tmp_path, models, beijing.tail(720), start)
    yield world
    os.kill(world.redis.process.pid, signal.SIGCONT)
    world.redis.stop()


def questions(world: World, table: pl.DataFrame) -> list[Question]:
    """Return requests of every kind with the predictions of both versions, computed offline."""
    X = simple_features(table)[-_HOURS:]
    times = table["timestamp"].to_list()[-_HOURS:]
    by_version = [world.versions[at].targets["pm25_1h"].predict(Rows(X)).prediction for at in (0, 1)]
    found: list[Question] = []
    v1, v2 = "/v1/models/pm25_1h:predict", "/v2/models/pm25_1h/infer"
    names = list(world.versions[0].targets["pm25_1h"].columns.names)
    for at in range(_HOURS):
        expected = {str(number + 1): float(values[at]) for number, values in enumerate(by_version)}
        named = json.dumps({"instances": [as_row(X[at])]}).encode()
        moment = json.dumps({"instances": [{"entity": "default", "time": times[at].isoformat()}]}).encode()
        found += [Question("rows", v1, named, expected)] * 5
        found += [Question("anew", v1, named, expected), *[Question("entity", v1, moment, expected)] * 2]
        if np.isfinite(X[at]).all():
            tensor = {"name": "x", "shape": [1, len(names)], "datatype": "FP64", "data": X[at].tolist()}
            found.append(Question("tensors", v2, json.dumps({"inputs": [tensor]}).encode(), expected))
    rows = json.dumps({"observations": observations(table.tail(3))}).encode()
    found.insert(0, Question("ingest", "/v1/models/air:ingest", rows))
    return found


class Chaos:
    """The faults, one after the other; each waits for the metric that tells of it, and of its end."""

    def __init__(self, world: World, load: Load, seconds: float) -> None:
        # Two pauses for each fault, and five faults that last for one.
        self.world, self.load, self.pause = world, load, seconds / 23

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a state, in a thread, since the load goes on meanwhile."""
        deadline = time.monotonic() + 120
        while not await asyncio.to_thread(condition):
            assert time.monotonic() < deadline, f"{self.load.phase}: nothing tells of it"
            await asyncio.sleep(0.05)

    async def run(self) -> None:
        for fault in (
            self.full_disk, self.stopped_redis, self.killed_redis, self.killed_worker, self.hot_swap,
            self.rolling_restart, self.registry_away, self.tampered_version, self.clock_set_back,
        ):  # fmt: skip
            self.load.phase = fault.__name__
            await fault()
            await asyncio.sleep(self.pause)
            self.load.phase = f"after {fault.__name__}"
            await asyncio.sleep(self.pause)

    def limit_files(self, size: int) -> None:
        for pid in workers(self.world.server):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def full_disk(self) -> None:
        """A limit on the size of a file stands for the end of the disk: it can be set for processes that run."""
        self.limit_files(self.world.audit.stat().st_size)
        await self.until(lambda: self.world.metric("almanac_log_failing", log="audit") == 1)
        await asyncio.sleep(self.pause)
        self.limit_files(resource.RLIM_INFINITY)
        await self.until(lambda: self.world.metric("almanac_log_failing", log="audit") == 0)

    def redis_answers(self, value: float) -> bool:
        return all(self.world.metric("almanac_redis_available", use=use) == value for use in ("limits", "features"))

    async def stopped_redis(self) -> None:
        os.kill(self.world.redis.process.pid, signal.SIGSTOP)
        await self.until(lambda: self.redis_answers(0))
        await asyncio.sleep(self.pause)
        os.kill(self.world.redis.process.pid, signal.SIGCONT)
        await self.until(lambda: self.redis_answers(1))

    async def killed_redis(self) -> None:
        self.world.redis.stop()
        await self.until(lambda: self.redis_answers(0))
        await asyncio.sleep(self.pause)
        await asyncio.to_thread(self.world.redis.start)
        await self.until(lambda: self.redis_answers(1))

    async def killed_worker(self) -> None:
        os.kill(min(workers(self.world.server)), signal.SIGKILL)
        await self.until(lambda: self.world.metric("almanac_worker_starts_total", reason="ended") == 1)

    async def hot_swap(self) -> None:
        await asyncio.to_thread(self.world.add_version, 1, self.world.registry)
        await self.until(lambda: self.world.metric("almanac_model_info", version="2", target="pm25_1h") == 1)
        await self.until(lambda: self.world.metric("almanac_model_swaps_total", result="done") == 2)

    async def rolling_restart(self) -> None:
        self.world.server.process.send_signal(signal.SIGHUP)
        await self.until(lambda: self.world.metric("almanac_worker_starts_total", reason="roll") == 2)

    def failed_swaps(self) -> float:
        return self.world.metric("almanac_model_swaps_total", result="failed")

    async def registry_away(self) -> None:
        before, away = self.failed_swaps(), self.world.folder / "away"
        self.world.registry.rename(away)
        await self.until(lambda: self.failed_swaps() > before)
        await asyncio.sleep(self.pause)
        # Where nobody sees it, a version is promoted and altered afterwards.
        await asyncio.to_thread(self._tamper, away)

    def _tamper(self, url: Path) -> None:
        before = {path for path in url.rglob("*") if path.is_file()}
        self.world.add_version(2, url)
        fresh = [path for path in url.rglob("*") if path.is_file() and path not in before]
        bodies = [path for path in fresh if b"leaf_value=" in path.read_bytes()]
        assert bodies, "the version has no trees"
        for path in bodies:
            path.chmod(0o644)
            path.write_bytes(path.read_bytes().replace(b"leaf_value=", b"leaf_value=9", 1))

    async def tampered_version(self) -> None:
        before = self.failed_swaps()
        (self.world.folder / "away").rename(self.world.registry)
        await self.until(lambda: self.failed_swaps() >= before + 2)
        assert self.world.metric("almanac_model_info", version="3") == 0
        registry = Registry(self.world.registry)
        await asyncio.to_thread(registry.promote, "air", 2, who="ann", why="the other one was altered")

    async def clock_set_back(self) -> None:
        self.world.set_clock(-_DAY)
        await self.until(lambda: self.world.metric("almanac_clock_steps_total", direction="back") == 2)
        await asyncio.sleep(self.pause)
        self.world.set_clock(0)
        await self.until(lambda: self.world.metric("almanac_clock_steps_total", direction="forward") == 2)


@needs("redis-server")
@needs("cc")
def test_everything_around_the_server_fails_in_turn(world: World, beijing: pl.DataFrame) -> None:
    ended = False

    async def run() -> tuple[Load, float, float]:
        nonlocal ended
        load = Load(world.server.port, world.key, questions(world, beijing))
        warm = time.monotonic() + 3
        peak = await load.run(None, lambda: time.monotonic() > warm)
        chaos = Chaos(world, load, SECONDS)
        asking = asyncio.create_task(load.run(SHARE * peak, lambda: ended))
        try:
            await chaos.run()
        finally:
            ended = True
            rate = await asking
        return load, peak, rate

    load, peak, rate = asyncio.run(run())
    statuses: dict[str, dict[str, int]] = {}
    for (kind, status), number in sorted(load.asked.items()):
        statuses.setdefault(kind, {})[str(status)] = number
    report: dict[str, Any] = {
        "seconds": SECONDS, "greatest_rate": round(peak), "rate": round(rate), "answers": statuses,
        "by_version": dict(load.versions), "wrong": len(load.wrong), "failed": len(load.failed),
        "sent_again_on_an_idle_connection": dict(load.reconnected), "sent_again_after_a_kill": dict(load.repeated),
        "slowest_seconds": {phase: round(seconds, 3) for phase, seconds in load.slowest.items()},
        "log_lines_dropped": {
            log: world.metric("almanac_log_dropped_total", log=log) for log in ("log", "audit", "predictions")
        },
    }  # fmt: skip
    write_json(ROOT / "build" / "chaos.json", report)
    print(json.dumps(report, indent=1))
    assert load.wrong == []
    assert load.failed == []
    # Whom a killed process takes along is asked again by its client; nothing else breaks a connection in use.
    assert set(load.repeated) <= {"killed_worker", "after killed_worker"}, load.repeated
    assert set(load.versions) == {"1", "2"}
    # A 503 is said by those alone who need what is away.
    assert {kind for (kind, status) in load.asked if status == 503} <= {"entity", "ingest"}
    counted = world.metric("almanac_requests_total")
    assert counted >= 0.9 * load.asked.total()  # what a killed worker had not yet written is lost, half a second
