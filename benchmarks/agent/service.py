"""Evidence of faults of a running server with its store and its clients, each with sizes drawn at random."""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.agent.series import Example
from operations.agent.alarms import Alarm
from operations.agent.evidence.gather import gather
from operations.agent.evidence.service import Scrapes
from operations.agent.policy import Policy
from operations.agent.site import Site
from serving.security.keys import changing
from tests.support.server import ServerProcess, as_row, free_port, simple_features, write_model

#: Seconds of the usual load before a fault, and of the fault before the alarm.
BEFORE, DURING = 5.0, 4.0
_PAUSE = 0.5
_USUAL_RATE = 20.0
_THREADS = 6


@dataclass
class Clients:
    """Clients of the server: as many requests a second, of which some have a wrong key or a wrong row."""

    server: ServerProcess
    key: str
    row: dict[str, Any]
    newest: str
    rate: float = _USUAL_RATE
    wrong_keys: float = 0.0
    wrong_rows: float = 0.0
    stopping: bool = False
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to ask."""
        self._threads = [threading.Thread(target=self._ask, args=(at,), daemon=True) for at in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self.stopping = True
        for thread in self._threads:
            thread.join()

    def _ask(self, seed: int) -> None:
        rng, at = np.random.default_rng(seed), 0
        while not self.stopping:
            # A fault may change it at any time.
            rate = self.rate
            if rate <= 0:
                time.sleep(0.05)
                continue
            began, at = time.monotonic(), at + 1
            key = "almanac_000000000000_wrong" if rng.random() < self.wrong_keys else self.key
            row = {"colour": "red"} if rng.random() < self.wrong_rows else self.row
            # Every second request looks its history up in the store.
            body = {"entity": "default", "time": self.newest} if at % 2 and "colour" not in row else row
            try:
                self.server.post("/v1/models/pm25_1h:predict", {"instances": [body]}, {"x-api-key": key})
            except OSError:
                time.sleep(0.1)
            time.sleep(max(0.0, len(self._threads) / rate - (time.monotonic() - began)))


@dataclass
class Room:
    """A server with its store, clients, and the agent's view of it."""

    server: ServerProcess
    redis: subprocess.Popen[bytes]
    clients: Clients
    site: Site
    folder: Path

    def watch(self, seconds: float) -> None:
        """Scrape the server for a while, as the agent does."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.site.scrapes.add(self.site.scrape())
            time.sleep(_PAUSE)


#: A worker that takes another's place needs its time to start.
_LONGER = {"worker killed": 12.0}

Fault = Callable[[Room, np.random.Generator], Callable[[], None] | None]


def redis_killed(room: Room, rng: np.random.Generator) -> None:
    """Kill the store."""
    room.redis.kill()
    room.redis.wait()


def redis_frozen(room: Room, rng: np.random.Generator) -> Callable[[], None]:
    """Stop the store, which then takes connections and answers nothing."""
    room.redis.send_signal(signal.SIGSTOP)
    return lambda: room.redis.send_signal(signal.SIGCONT)


def surge(room: Room, rng: np.random.Generator) -> None:
    """Ask four to eight times as often."""
    room.clients.rate = _USUAL_RATE * float(rng.uniform(4, 8))


def silence(room: Room, rng: np.random.Generator) -> None:
    """Ask no more, or once in a while."""
    room.clients.rate = float(rng.choice([0.0, 0.5]))


def wrong_keys(room: Room, rng: np.random.Generator) -> None:
    """Ask a fifth to four fifths of the requests with a key that is no more."""
    room.clients.wrong_keys = float(rng.uniform(0.2, 0.8))


def wrong_rows(room: Room, rng: np.random.Generator) -> None:
    """Send a fifth to four fifths of the rows in another form."""
    room.clients.wrong_rows = float(rng.uniform(0.2, 0.8))


def disk_full(room: Room, rng: np.random.Generator) -> Callable[[], None]:
    """Let no file of the server grow any more."""
    pids = _processes(room.server.process.pid)
    size = (room.folder / "audit.jsonl").stat().st_size
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def free() -> None:
        for pid in pids:
            # A worker that died of the full disk has been replaced.
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    return free


def worker_killed(room: Room, rng: np.random.Generator) -> None:
    """Kill a worker, as the kernel does when memory runs out."""
    os.kill(_processes(room.server.process.pid)[-1], signal.SIGKILL)


def bad_canary(room: Room, rng: np.random.Generator) -> None:
    """Observe errors of the new version that are half as large again, up to three times."""
    headers = {"x-api-key": room.clients.key}
    names = room.server.get("/v2/models/pm25_1h", headers).json["versions"]
    worse = float(rng.uniform(1.5, 3.0))
    rows = [
        {
            "prediction": 50.0,
            "actual": 50.0 + float(rng.exponential(2.0)) * (worse if name == names[1] else 1.0),
            "model_version": name,
            "target": target,
        }
        for _ in range(600)
        for target in ("pm25_1h", "pm25_6h")
        for name in names
    ]
    assert room.server.post("/v1/models/air:feedback", {"feedback": rows}, headers).status == 200


#: Fault -> the cause that is right, and the alarm that Prometheus has for it.
FAULTS: dict[str, tuple[Fault, str, str]] = {
    "store killed": (redis_killed, "store", "AlmanacRedisAway"),
    "store frozen": (redis_frozen, "store", "AlmanacFeatureStoreErrors"),
    "many more requests": (surge, "traffic", "AlmanacLatencyHigh"),
    "no requests": (silence, "traffic", "AlmanacNoTraffic"),
    "keys that are no more": (wrong_keys, "upstream", "AlmanacKeysRefused"),
    "rows of another form": (wrong_rows, "upstream", "AlmanacErrorBudgetBurn1x"),
    "disk full": (disk_full, "resources", "AlmanacLogFailing"),
    "worker killed": (worker_killed, "resources", "AlmanacNotReady"),
    "bad canary": (bad_canary, "bad_release", "AlmanacCanaryFailed"),
}


def episodes(table: pl.DataFrame, seeds: list[int], faults: list[str]) -> Iterator[tuple[Example, str]]:
    """Yield the evidence of each fault, and of the usual load, with the name of the alarm that belongs to it."""
    with tempfile.TemporaryDirectory() as folder:
        models = [write_model(Path(folder) / f"model{trees}", table, trees) for trees in (40, 30)]
        for seed in seeds:
            for at, fault in enumerate(faults):
                rng = np.random.default_rng([seed, at])
                home = Path(folder) / f"{seed}-{at}"
                with room(home, table, models, canary=fault == "bad canary") as one:
                    yield _episode(one, fault, rng)


def _episode(one: Room, fault: str, rng: np.random.Generator) -> tuple[Example, str]:
    one.watch(BEFORE)
    end, cause, alarm = None, "", ""
    if fault != "usual load":
        function, cause, alarm = FAULTS[fault]
        end = function(one, rng)
    one.site.scrapes.recent = _LONGER.get(fault, DURING)
    one.watch(one.site.scrapes.recent)
    # Without the alarm's name, which would give some causes away.
    evidence = gather(one.site, Alarm("alertmanager", "", "air", "firing", "", "", "", {"area": "serving"}))
    if end is not None:
        end()
    return Example(fault, cause, datetime(2026, 1, 1), evidence), alarm


@contextmanager
def room(folder: Path, table: pl.DataFrame, models: list[Path], *, canary: bool) -> Iterator[Room]:
    """Yield a server of two workers with its store and its clients."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    keys = folder / "keys.json"
    with changing(keys) as ring:
        key = ring.create("all", ("admin",))[1]
    (folder / "key").write_text(key)
    options = ["--model", str(models[0]), "--workers", "2", "--feature-store", f"redis://127.0.0.1:{port}/0"]
    options += ["--auth", "required", "--keys", str(keys), "--audit-log", str(folder / "audit.jsonl")]
    options += ["--canary", f"{models[1]}=50"] if canary else []
    server = ServerProcess(options)
    try:
        server.wait()
        newest = table.tail(400).with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%S")).to_dicts()
        answer = server.post("/v1/models/air:ingest", {"observations": newest}, {"x-api-key": key})
        assert answer.status == 200, answer.body
        X = simple_features(table.tail(400))
        clients = Clients(server, key, as_row(X[-1]), str(newest[-1]["timestamp"]))
        settings = {"server": {"url": server.url, "key_file": str(folder / "key")}}
        policy = Policy.model_validate({"use_cases": {"air": settings}, "causes": {}, "watch_seconds": 1.0})
        site = Site("air", policy, policy.use_cases["air"], str(folder / "registry"), folder, scrapes=Scrapes(DURING))
        clients.start()
        try:
            yield Room(server, redis, clients, site, folder)
        finally:
            clients.stop()
    finally:
        redis.send_signal(signal.SIGCONT)
        redis.kill()
        redis.wait()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _processes(parent: int) -> list[int]:
    """Return the ids of a supervisor and of its workers."""
    found = [parent]
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(path.name))
    return found
