"""Several server processes on one socket: started, watched, replaced one by one, drained together."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from components.common.errors import ServingError
from serving.operate.ready import READY_FD
from serving.operate.scrape import MULTIPROCESS
from serving.run import listen
from serving.settings import Settings

_LOOK = 0.2
_READY_SECONDS = 60.0


class Supervisor:
    """Keeps `workers` processes alive that accept from one listening socket.

    SIGTERM and SIGINT drain them all; SIGHUP replaces them one by one, each only after its successor is ready.
    """

    def __init__(self, settings: Settings, arguments: list[str], sock: socket.socket) -> None:
        self._settings = settings
        self._command = [sys.executable, "-m", "serving", *arguments, "--listen-fd", str(sock.fileno())]
        self._sock = sock
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopping = False
        self._restarting = False
        self._metrics = Path(tempfile.mkdtemp(prefix="almanac-metrics-"))

    def run(self) -> int:
        """Serve until a signal ends it; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_stopping", True))
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "_restarting", True))
        try:
            self._workers = [self._start() for _ in range(self._settings.workers)]
            while not self._stopping:
                time.sleep(_LOOK)
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
        """Start a worker and wait until it serves.

        Raises:
            ServingError: it ended, or was not ready in time.
        """
        reader, writer = os.pipe()
        environment = {**os.environ, MULTIPROCESS: str(self._metrics), READY_FD: str(writer)}
        fds = (self._sock.fileno(), writer)
        worker = subprocess.Popen(self._command, env=environment, pass_fds=fds)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            if not _readable(pipe.fileno(), _READY_SECONDS) or pipe.read(1) != b"1":
                worker.kill()
                raise ServingError("a worker did not become ready; its own message stands above")
        return worker

    def _replace_dead(self) -> None:
        for at, worker in enumerate(self._workers):
            if worker.poll() is not None and not self._stopping:
                self._forget(worker)
                self._workers[at] = self._start()

    def _restart(self) -> None:
        for at, old in enumerate(self._workers):
            try:
                self._workers[at] = self._start()
            except ServingError as error:
                print(f"error: {error}; the running workers are kept", file=sys.stderr)
                return
            old.terminate()
            old.wait(self._patience())
            self._forget(old)

    def _stop(self) -> int:
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + self._patience()
        codes = [worker.wait(max(0.1, deadline - time.monotonic())) for worker in self._workers]
        return max(abs(code) for code in codes)

    def _patience(self) -> float:
        return self._settings.drain_seconds + self._settings.grace_seconds + 10.0

    def _forget(self, worker: subprocess.Popen[bytes]) -> None:
        os.environ[MULTIPROCESS] = str(self._metrics)
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def supervise(settings: Settings, arguments: list[str]) -> int:
    """Run several workers; return the exit code.

    Raises:
        ServingError: the port is taken, or a worker cannot start.
    """
    sock = listen(settings)
    return Supervisor(settings, arguments, sock).run()


def _readable(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])
