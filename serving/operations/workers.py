"""Several server processes on one socket: start, supervise, replace one by one, drain together."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from io import FileIO
from pathlib import Path

from almanac.core.errors import ServingError
from almanac.core.files import write_json
from serving.operations.metrics import MULTIPROCESS, START_REASONS, STARTS_FILE
from serving.runtime.readiness import PARENT_FD, READY_FD, RETIRE, WAITS
from serving.settings import Settings
from serving.transport.sockets import listen

_POLL_SECONDS = 0.2
_END_POLL_SECONDS = 0.02
#: Seconds that a worker has to end which is told so while it starts.
_START_END_SECONDS = 5.0
_READY_SECONDS = 60.0
#: Pause after a failed start, which costs the other workers processor time.
_RETRY_SECONDS = 2.0


class _StoppedError(ServingError):
    """A signal ended the supervisor while it waited for a worker."""


class Supervisor:
    """Keeps `workers` processes alive that accept from one listening socket.

    SIGTERM and SIGINT drain them all; SIGHUP replaces them one by one, each only after its successor is ready. A worker
    that finds its supervisor gone drains as well. `docs/guide/server_states.md` has the states.
    """

    def __init__(self, settings: Settings, sock: socket.socket) -> None:
        self._settings = settings
        options = replace(settings, listen_fd=sock.fileno())
        self._command = [sys.executable, "-m", "serving", *options.arguments()]
        self._environment = options.environment()
        self._sock = sock
        self._workers: list[subprocess.Popen[bytes]] = []
        self._retired: list[subprocess.Popen[bytes]] = []
        self._stopping = False
        self._restarting = False
        self._next_start = 0.0
        self._metrics = Path(tempfile.mkdtemp(prefix="almanac-metrics-"))
        self._starts = dict.fromkeys(START_REASONS, 0)
        # A signal wakes every wait; and the end of the supervisor closes a pipe that its workers read.
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._life, self._alive = os.pipe()

    def run(self) -> int:
        """Serve until a signal ends it; return the exit code."""
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        # Handlers only set flags: a worker may be half started when a signal arrives.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_stopping", True))
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "_restarting", True))
        try:
            for _ in range(self._settings.workers):
                # One by one: where a later one fails, the earlier ones are known and ended.
                self._workers.append(self._start("start"))
            while not self._stopping:
                self._sleep([], _POLL_SECONDS)
                self._replace_dead()
                if self._restarting:
                    self._restarting = False
                    self._restart()
            return self._stop()
        except _StoppedError:
            return self._stop()
        finally:
            for worker in (*self._workers, *self._retired):
                if worker.poll() is None:
                    worker.kill()
                    worker.wait()
            shutil.rmtree(self._metrics, ignore_errors=True)

    def _start(self, reason: str, whole: bool = False) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it is ready, or, unless `whole`, waits for its feature store.

        Raises:
            _StoppedError: a signal ended the supervisor meanwhile.
            ServingError: it ended, or was not ready in time.
        """
        reader, writer = os.pipe()
        environment = {
            **self._environment,
            MULTIPROCESS: str(self._metrics),
            READY_FD: str(writer),
            PARENT_FD: str(self._life),
        }
        fds = (self._sock.fileno(), writer, self._life)
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            try:
                worker = subprocess.Popen(self._command, env=environment, pass_fds=fds)
            except OSError as error:
                raise ServingError(f"a worker could not be started: {error.strerror}") from error
            finally:
                # The worker has its own copy; with ours open, its end would never be noticed here.
                os.close(writer)
            try:
                self._wait_ready(pipe, whole)
            except ServingError:
                worker.terminate()
                _end(worker, _START_END_SECONDS if self._stopping else 0.0)
                self._forget(worker)
                raise
        self._starts[reason] += 1
        write_json(self._metrics / STARTS_FILE, self._starts)
        return worker

    def _wait_ready(self, pipe: FileIO, whole: bool) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            if not self._sleep([pipe.fileno()], left):
                continue
            state = pipe.read(1)
            if state == b"1" or (state == WAITS and not whole):
                return
            if state != WAITS:
                break
        raise ServingError("a worker did not become ready; see its own message above")

    def _sleep(self, fds: list[int], seconds: float) -> list[int]:
        """Wait until a file descriptor can be read, the time is over, or a signal arrives.

        Raises:
            _StoppedError: a signal ended the supervisor while it waited for a file descriptor.
        """
        readable, _, _ = select.select([*fds, self._woken], [], [], seconds)
        if self._woken in readable:
            os.read(self._woken, 4096)
            readable.remove(self._woken)
        if fds and self._stopping:
            raise _StoppedError("stopped")
        return readable

    def _replace_dead(self) -> None:
        """Replace each worker that ended; a failed start is tried again later, while the others serve on."""
        if time.monotonic() < self._next_start:
            return
        for at, worker in enumerate(self._workers):
            if worker.poll() is None or self._stopping:
                continue
            try:
                self._workers[at] = self._start("ended")
            except _StoppedError:
                return
            except ServingError as error:
                self._next_start = time.monotonic() + _RETRY_SECONDS
                print(f"error: {error}; tried again in {_RETRY_SECONDS:g} s", file=sys.stderr)
                # The next round tries again; other dead workers would most likely fail alike.
                return
            self._forget(worker)

    def _restart(self) -> None:
        for at, old in enumerate(self._workers):
            try:
                self._workers[at] = self._start("roll", whole=True)
            except _StoppedError:
                return
            except ServingError as error:
                print(f"error: {error}; the running workers are kept", file=sys.stderr)
                return
            self._retired.append(old)
            # Only now: the successor already accepts from the same socket, so the old one need not.
            if old.poll() is None:
                old.send_signal(RETIRE)
            self._wait_end(old, self._patience())
            if self._stopping:
                return
            self._retired.remove(old)
            self._forget(old)

    def _wait_end(self, worker: subprocess.Popen[bytes], seconds: float) -> None:
        """Wait for the end of a worker, and kill it if it has not ended in time; a signal ends the wait."""
        deadline = time.monotonic() + seconds
        while worker.poll() is None and not self._stopping:
            if time.monotonic() >= deadline:
                worker.kill()
                worker.wait()
                return
            self._sleep([], _END_POLL_SECONDS)

    def _stop(self) -> int:
        # The workers have copies of the socket: with this one open, connections would be taken that nobody answers.
        self._sock.close()
        running = [worker for worker in (*self._workers, *self._retired) if worker.poll() is None]
        # All at once: they drain at the same time.
        for worker in running:
            worker.terminate()
        deadline = time.monotonic() + self._patience()
        codes = [_end(worker, max(0.1, deadline - time.monotonic())) for worker in running]
        return max((abs(code) for code in codes), default=0 if len(self._workers) < self._settings.workers else 1)

    def _patience(self) -> float:
        return self._settings.drain_seconds + self._settings.grace_seconds + 10.0

    def _forget(self, worker: subprocess.Popen[bytes]) -> None:
        # prometheus_client reads the directory from the environment when it is imported.
        os.environ[MULTIPROCESS] = str(self._metrics)
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def supervise(settings: Settings) -> int:
    """Run several workers; return the exit code.

    Raises:
        ServingError: the port is taken, or a worker cannot start.
    """
    return Supervisor(settings, listen(settings.host, settings.http_port)).run()


def _end(worker: subprocess.Popen[bytes], seconds: float = 0.0) -> int:
    """Return the exit code of a worker; it is killed if it has not ended in time."""
    try:
        return worker.wait(seconds)
    except subprocess.TimeoutExpired:
        worker.kill()
        return worker.wait()
