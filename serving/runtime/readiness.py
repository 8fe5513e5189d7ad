"""Readiness of this process, for probes and for the supervisor of several workers."""

import os
import signal
from contextlib import suppress

from monitoring.metrics import READY, Metrics
from serving.runtime.line_writer import LogState

#: Environment variables with file descriptors: of the pipe to the supervisor, and of one that ends with it.
READY_FD, PARENT_FD = "ALMANAC_READY_FD", "ALMANAC_PARENT_FD"
#: Signal by which the supervisor ends a worker whose successor accepts from the same socket.
RETIRE = signal.SIGUSR2
#: What a worker tells its supervisor that serves rows and waits for its feature store.
WAITS = b"0"


class State:
    """Ready from the first answerable moment until the drain begins; `docs/guide/server_states.md` has every state.

    Attributes:
        ready: whether traffic is accepted.
        draining: whether the process is about to end.
        waits_for: what a process that starts waits for, for its probes.
        logs: state of the logs, for probes.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.ready = False
        self.draining = False
        self.waits_for = ""
        self.logs: list[LogState] = []
        self._gauge = metrics.gauge(READY)
        self._gauge.set(0)

    def open(self) -> None:
        """Accept traffic."""
        # A drain is final: it may have begun while the history was loaded.
        if self.draining:
            return
        self.ready, self.waits_for = True, ""
        self._gauge.set(1)

    def drain(self) -> None:
        """Report not ready on every probe; requests are still answered."""
        self.ready, self.draining = False, True
        self._gauge.set(0)


def report_ready() -> None:
    """Report to the supervisor, where there is one, that this worker is ready."""
    text = os.environ.pop(READY_FD, None)
    if text is not None:
        _tell(int(text), b"1")
        os.close(int(text))


def report_waiting() -> None:
    """Report to the supervisor, where there is one, that this worker serves rows and waits for its feature store."""
    text = os.environ.get(READY_FD)
    if text is not None:
        _tell(int(text), WAITS)


def _tell(fd: int, state: bytes) -> None:
    # The supervisor stops reading once it knows enough, or has ended.
    with suppress(BrokenPipeError):
        os.write(fd, state)
