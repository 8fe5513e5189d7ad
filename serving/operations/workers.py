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
from pathlib import Path

from almanac.core.errors import ServingError
from serving.operations.metrics import MULTIPROCESS
from serving.runtime.readiness import READY_FD
from serving.settings import Settings
from serving.transport.sockets import listen

_POLL_SECONDS = 0.2
_READY_SECONDS = 60.0
#: Pause after a failed start, which costs the other workers processor time.
_RETRY_SECONDS = 2.0


class Supervisor:
    """Keeps `workers` processes alive that accept from one listening socket.

    SIGTERM and SIGINT drain them all; SIGHUP replaces them one by one, each only after its successor is ready.
    """

    def __init__(self, settings: Settings, sock: socket.socket) -> None:
        self._settings = settings
        self._command = [sys.executable, "-m", "serving", *replace(settings, listen_fd=sock.fileno()).arguments()]
        self._sock = sock
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopping = False
        self._restarting = False
        self._next_start = 0.0
        self._metrics = Path(tempfile.mkdtemp(prefix="almanac-metrics-"))

    def run(self) -> int:
        """Serve until a signal ends it; return the exit code."""
        # Handlers only set flags: a worker may be half started when a signal arrives.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_stopping", True))
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "_restarting", True))
        try:
            self._workers = [self._start() for _ in range(self._settings.workers)]
            while not self._stopping:
                time.sleep(_POLL_SECONDS)
                self._replace_dead()
                if self._restarting:
                    self._restarting = False
                    self._restart()
            return self._stop()
        finally:
            for worker in self._workers:
                if worker.poll() is None:
                    worker.kill()
            shutil.rmtree(self._metrics, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it is ready.

        Raises:
            ServingError: it ended, or was not ready in time.
        """
        reader, writer = os.pipe()
        environment = {**os.environ, MULTIPROCESS: str(self._metrics), READY_FD: str(writer)}
        fds = (self._sock.fileno(), writer)
        with os.fdopen(reader, "rb") as pipe:
            try:
                worker = subprocess.Popen(self._command, env=environment, pass_fds=fds)
            except OSError as error:
                raise ServingError(f"a worker could not be started: {error.strerror}") from error
            finally:
                # The worker has its own copy; with ours open, its end would never be noticed here.
                os.close(writer)
            if not _readable(pipe.fileno(), _READY_SECONDS) or pipe.read(1) != b"1":
                _end(worker)
                self._forget(worker)
                raise ServingError("a worker did not become ready; see its own message above")
        return worker

    def _replace_dead(self) -> None:
        """Replace each worker that ended; a failed start is tried again later, while the others serve on."""
        if time.monotonic() < self._next_start:
            return
        for at, worker in enumerate(self._workers):
            if worker.poll() is None or self._stopping:
                continue
            try:
                self._workers[at] = self._start()
            except ServingError as error:
                self._next_start = time.monotonic() + _RETRY_SECONDS
                print(f"error: {error}; tried again in {_RETRY_SECONDS:g} s", file=sys.stderr)
                # The next round tries again; other dead workers would most likely fail alike.
                return
            self._forget(worker)

    def _restart(self) -> None:
        for at, old in enumerate(self._workers):
            try:
                self._workers[at] = self._start()
            except ServingError as error:
                print(f"error: {error}; the running workers are kept", file=sys.stderr)
                return
            # Only now: the successor already accepts from the same socket.
            old.terminate()
            _end(old, self._patience())
            self._forget(old)

    def _stop(self) -> int:
        running = [worker for worker in self._workers if worker.poll() is None]
        # All at once: they drain at the same time.
        for worker in running:
            worker.terminate()
        deadline = time.monotonic() + self._patience()
        codes = [_end(worker, max(0.1, deadline - time.monotonic())) for worker in running]
        return max((abs(code) for code in codes), default=1)

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


def _readable(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])
