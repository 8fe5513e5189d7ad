"""The states of docs/guide/server_states.md, each ended by a signal; clients that connect anew count what fails."""

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serving.transport.sockets import listen, take_no_more
from tests.support.server import ServerProcess, Start, as_row, free_port, wait_for
from tests.system.serving.test_operation import PREDICT, total, workers
from tests.system.serving.test_store import Redis, last_month, needs_redis
from tests.system.serving.test_workers import wait_until_all_serve

__all__ = ["last_month"]


class Anew:
    """Clients that connect anew for each request; a connection that was taken must be answered.

    Attributes:
        outcomes: numbers of answers by status, of refused connections, and of failures by their kind.
    """

    def __init__(self, server: ServerProcess, row: dict[str, Any], threads: int = 3) -> None:
        self.outcomes: Counter[str] = Counter()
        self._port, self._body = server.port, json.dumps({"instances": [row]}).encode()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self._stop.is_set():
            self.outcomes[self._ask()] += 1

    def _ask(self) -> str:
        try:
            sock = socket.create_connection(("127.0.0.1", self._port), 20)
        except ConnectionRefusedError:
            time.sleep(0.01)
            return "refused"
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.sock = sock
        try:
            connection.request("POST", PREDICT, self._body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    def __enter__(self) -> "Anew":
        for thread in self._threads:
            thread.start()
        wait_for(lambda: self.outcomes["200"] >= 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def two_workers(start: Start, folder: Path, *more: str) -> ServerProcess:
    server = start("--workers", "2", "--feature-store", f"sqlite:///{folder}/s.db", *more)
    wait_until_all_serve(server, 2)
    return server


@pytest.fixture
def half_started(model_dir: Path, tmp_path: Path) -> Iterator[tuple[ServerProcess, int, int]]:
    """A server of three workers of which one serves and the next one starts, and these two."""
    options = ["--workers", "3", "--feature-store", f"sqlite:///{tmp_path}/s.db"]
    server = ServerProcess(["--model", str(model_dir), *options])
    assert server.process.stdout is not None
    assert server.process.stdout.readline().startswith(b"air version")
    wait_for(lambda: len(workers(server)) == 2)
    first, second = sorted(workers(server), key=began)
    yield server, first, second
    server.stop()


def began(pid: int) -> int:
    """Return when a process began, in ticks since the machine did."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_socket_that_takes_no_more_keeps_what_it_has(host: str) -> None:
    with closing(listen(host, 0)) as sock, closing(socket.create_connection(sock.getsockname()[:2], 5)) as before:
        take_no_more(sock)
        with pytest.raises(TimeoutError):
            socket.create_connection(sock.getsockname()[:2], 0.3)
        before.sendall(b"asked")
        with closing(sock.accept()[0]) as accepted:
            assert accepted.recv(5) == b"asked"
            accepted.sendall(b"answered")
            assert before.recv(8) == b"answered"
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.accept()


@pytest.mark.parametrize("drain", ["0", "0.5"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_drain_fails_no_request(
    start: Start, tmp_path: Path, feature_rows: np.ndarray, count: int, drain: str
) -> None:
    server = start("--drain-seconds", drain) if count == 1 else two_workers(start, tmp_path, "--drain-seconds", drain)
    with Anew(server, as_row(feature_rows[0])) as clients:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        wait_for(lambda: clients.outcomes["refused"])
    assert set(clients.outcomes) == {"200", "refused"}, clients.outcomes


def test_a_roll_fails_no_request_and_refuses_none(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    server = two_workers(start, tmp_path, "--drain-seconds", "3")
    before = workers(server)
    with Anew(server, as_row(feature_rows[0])) as clients:
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not before & workers(server) and len(workers(server)) == 2)
        wait_for(lambda: total(server, "almanac_worker_starts_total", reason="roll") == 2)
    assert set(clients.outcomes) == {"200"}, clients.outcomes
    assert total(server, "almanac_worker_starts_total", reason="start") == 2


def test_a_signal_is_heard_during_a_roll(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    server = two_workers(start, tmp_path)
    with Anew(server, as_row(feature_rows[0])) as clients:
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(workers(server)) == 3)  # a successor starts
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert set(clients.outcomes) <= {"200", "refused"}, clients.outcomes


def test_a_worker_that_dies_during_the_first_start_ends_the_others(
    half_started: tuple[ServerProcess, int, int],
) -> None:
    server, first, second = half_started
    os.kill(second, signal.SIGKILL)
    assert server.process.wait(30) == 1
    assert gone(first)
    assert "a worker did not become ready" in server.stop()


def test_a_signal_during_the_first_start_is_heard_at_once(half_started: tuple[ServerProcess, int, int]) -> None:
    server, first, second = half_started
    os.kill(second, signal.SIGSTOP)  # its start would take for ever
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert gone(first)
    assert gone(second)


def test_a_signal_while_the_model_is_loaded_ends_a_process(model_dir: Path) -> None:
    server = ServerProcess(["--model", str(model_dir)])
    # From the moment on when its handlers stand: the bit of SIGTERM among the caught signals.
    caught = signal.SIGTERM - 1

    def handles() -> bool:
        lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
        return bool(int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16) >> caught & 1)

    wait_for(handles, pause=0.001)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    server.stop()


def test_workers_end_with_their_supervisor(start: Start, tmp_path: Path) -> None:
    server = two_workers(start, tmp_path)
    left = workers(server)
    server.process.kill()
    wait_for(lambda: all(gone(pid) for pid in left))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 1)


def test_a_reload_does_not_end_a_process(start: Start, feature_rows: np.ndarray) -> None:
    server = start()
    with Anew(server, as_row(feature_rows[0])) as clients:
        for _ in range(3):
            server.process.send_signal(signal.SIGHUP)
        asked = clients.outcomes["200"]
        wait_for(lambda: clients.outcomes["200"] > asked + 100)
    assert set(clients.outcomes) == {"200"}
    assert "nothing to do on SIGHUP" in server.stop()


def test_a_request_in_flight_counts_in_every_worker(start: Start, tmp_path: Path) -> None:
    server = two_workers(start, tmp_path)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n".encode()
    held = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(4)]
    for connection in held:
        connection.sendall(head + b"{")
    wait_for(lambda: total(server, "almanac_requests_in_flight") == 5)  # the scrape itself is one
    for connection in held:
        connection.close()
    wait_for(lambda: total(server, "almanac_requests_in_flight") == 1)


def test_requests_by_entity_wait_for_the_history(
    model_dir: Path, tmp_path: Path, last_month: pl.DataFrame, feature_rows: np.ndarray
) -> None:
    # A reader of a pipe waits until something writes to it.
    os.mkfifo(tmp_path / "rows.parquet")
    server = ServerProcess(["--model", str(model_dir), "--history", str(tmp_path / "rows.parquet")])

    def serves() -> bool:
        try:
            return server.post(PREDICT, {"instances": [as_row(feature_rows[0])]}).status == 200
        except OSError:
            return False

    try:
        wait_for(serves)
        moment = {"instances": [{"entity": "default", "time": last_month["timestamp"][-1].isoformat()}]}
        early = server.post(PREDICT, moment)
        assert (early.status, early.headers["retry-after"]) == (503, "1")
        assert "filled from" in early.json["error"]
        assert server.process.stdout is not None
        assert b"reads its history from" in server.process.stdout.readline()
        # An empty table ends the wait, and what is asked for is then known to be missing.
        (tmp_path / "rows.parquet").open("wb").close()
        wait_for(lambda: server.get("/healthz").status == 200)
        assert server.post(PREDICT, moment).status == 409
    finally:
        server.stop()


@needs_redis
@pytest.mark.parametrize("count", [1, 2])
def test_a_store_that_is_down_at_the_start_is_asked_again(
    model_dir: Path, tmp_path: Path, last_month: pl.DataFrame, feature_rows: np.ndarray, count: int
) -> None:
    last_month.write_parquet(tmp_path / "rows.parquet")
    redis = Redis(tmp_path)
    redis.stop()
    options = ["--feature-store", redis.url, "--history", str(tmp_path / "rows.parquet"), "--workers", str(count)]
    server = ServerProcess(["--model", str(model_dir), *options])

    def waits() -> bool:
        try:
            answer = server.get("/healthz")
        except OSError:
            return False
        return answer.status == 503 and "the feature store does not answer" in answer.json.get("waits_for", "")

    try:
        wait_for(waits)
        rows = {"instances": [as_row(feature_rows[0])]}
        assert server.post(PREDICT, rows).status == 200
        time_asked = last_month["timestamp"][-1].isoformat()
        moment = {"instances": [{"entity": "default", "time": time_asked}]}
        assert server.post(PREDICT, moment).status == 503
        redis.start()
        wait_for(lambda: all(server.get("/healthz").status == 200 for _ in range(3 * count)))
        assert server.post(PREDICT, moment).status == 200
    finally:
        server.stop()
        redis.stop()


@needs_redis
@pytest.mark.parametrize("count", ["1", "2"])
def test_no_command_line_shows_a_password(model_dir: Path, tmp_path: Path, count: str) -> None:
    secret = "hush-3141"
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    (tmp_path / "redis.conf").write_text(f"requirepass {secret}\n")
    redis = subprocess.Popen([command[0], str(tmp_path / "redis.conf"), *command[1:]], stdout=subprocess.DEVNULL)
    url = f"redis://:{secret}@127.0.0.1:{port}/0"
    options = ["--workers", count, "--feature-store", url, "--rate-limit-store", url, "--rate-limit", "10000/s"]
    server = ServerProcess(["--model", str(model_dir), *options])
    try:
        server.wait()
        assert total(server, "almanac_redis_available", use="limits") == 1
        for pid in (server.process.pid, *workers(server)):
            assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        redis.kill()
        redis.wait()
        # A scrape takes no token, and so asks no limit.
        wait_for(lambda: server.get("/v2").body and total(server, "almanac_redis_available", use="limits") == 0)
        assert secret not in server.get("/metrics").body.decode() + server.get("/healthz").body.decode()
        assert secret not in server.stop()
    finally:
        server.stop()
        redis.kill()
        redis.wait()


def test_a_full_disk_is_told_by_probes_and_forgotten_afterwards(
    start: Start, tmp_path: Path, feature_rows: np.ndarray
) -> None:
    """The limit on a file's size stands for a full disk, since it can be set for a process that runs."""
    path = tmp_path / "audit.jsonl"
    server = start("--audit-log", str(path))
    body = {"instances": [as_row(feature_rows[0])]}
    pid, free = server.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def ask(count: int) -> None:
        assert [server.post(PREDICT, body).status for _ in range(count)] == [200] * count

    ask(5)
    wait_for(lambda: len(path.read_text().splitlines()) == 5)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 100, resource.RLIM_INFINITY))
    ask(20)
    wait_for(lambda: server.get("/healthz").json.get("logs_failing") == {"audit": "File too large"})
    assert server.get("/healthz").status == 200
    assert total(server, "almanac_log_failing", log="audit") == 1
    ask(20)
    assert len(path.read_text().splitlines()) == 5
    resource.prlimit(pid, resource.RLIMIT_FSIZE, free)
    wait_for(lambda: len(path.read_text().splitlines()) == 45)
    wait_for(lambda: "logs_failing" not in server.get("/healthz").json)
    assert total(server, "almanac_log_failing", log="audit") == 0
    assert all(json.loads(line)["status"] == 200 for line in path.read_text().splitlines())
