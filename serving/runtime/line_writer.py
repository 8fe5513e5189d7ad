"""A writer of lines with a thread of its own, so that no request waits for a disk."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from monitoring.metrics import LOG_DROPPED, LOG_FAILING, Metrics
from serving.runtime.line_file import LineFile

_PAUSE = 0.1
#: Bytes that may wait to be rendered, and to be written; beyond them the oldest lines are dropped.
_MOST_BYTES = 16 << 20
#: Bytes of a waiting item beside what its weight says.
_ITEM_BYTES = 512
#: Bytes of items that are rendered at a time, and lines that are written at a time.
_RENDERED_BYTES = 64 << 10
_BATCH = 2000
#: Seconds before lines that could not be written are tried again: the first pause, and the longest.
_FIRST_RETRY, _LONGEST_RETRY = 0.2, 5.0
#: Seconds for the last lines when the writer is closed.
_LAST = 5.0


class Stream(Protocol):
    """Destination of lines; it is flushed regularly, even if nothing was written."""

    def write(self, data: bytes, /) -> object:
        """Write lines; OSError if they cannot be written now."""
        ...

    def flush(self) -> None:
        """Flush buffered lines."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


class LogState:
    """The state of one log, in metrics and for probes.

    Args:
        name: name of the log.
        metrics: the metrics.
    """

    def __init__(self, name: str, metrics: Metrics) -> None:
        self.name = name
        self.error: str | None = None
        self._told = False
        self._dropped = metrics.counter(LOG_DROPPED).labels(name)
        self._failing = metrics.gauge(LOG_FAILING).labels(name)
        self._failing.set(0)

    def drop(self, count: int) -> None:
        """Count lines that are lost."""
        if count:
            self._dropped.inc(count)

    def lose(self, error: Exception) -> None:
        """Count a line that cannot be rendered, and log the reason of the first one."""
        if not self._told and self.name != "log":
            self._told = True
            logging.getLogger("almanac.serving").error("a line of the %s log was lost", self.name, exc_info=error)
        self._dropped.inc()

    def fail(self, error: Exception) -> None:
        """Note that lines could not be written, and wait."""
        reason = getattr(error, "strerror", None) or type(error).__name__
        if self.error is None and self.name != "log":
            logging.getLogger("almanac.serving").error("the %s log cannot be written: %s", self.name, reason)
        if self.error is None:
            self._failing.set(1)
        self.error = reason

    def recover(self) -> None:
        """Note that lines are written again."""
        if self.error is None:
            return
        self.error = None
        self._failing.set(0)
        logging.getLogger("almanac.serving").info("the %s log is written again", self.name)


class LineWriter:
    """Appends JSON lines to a file or a stream.

    The hot path only appends to a deque. Lines that cannot be written wait and are tried again. When more wait than
    memory is given to, the oldest are dropped and counted: a full disk must not stop predictions.

    Args:
        target: file to append to, or an open stream; it is closed with the writer.
        render: returns the line of a queued item without its end; runs in the writer's thread.
        state: counts what is lost.
    """

    def __init__(self, target: Path | Stream, render: Callable[[Any], bytes], state: LogState) -> None:
        self.state = state
        self._stream: Stream = LineFile(target) if isinstance(target, Path) else target
        self._render = render
        self._lock = threading.Lock()
        self._items: deque[tuple[Any, int]] = deque()
        self._lines: deque[bytes] = deque()
        self._item_bytes = self._line_bytes = 0
        self._retry_at, self._retry = 0.0, _FIRST_RETRY
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="almanac-lines", daemon=True)
        self._thread.start()

    def put(self, item: Any, weight: int = 0) -> None:
        """Queue one line, whose item holds about `weight` bytes more than an empty one."""
        size, dropped = _ITEM_BYTES + weight, 0
        with self._lock:
            self._items.append((item, size))
            self._item_bytes += size
            # The oldest go first: the newest lines explain the present. The last one always fits.
            while self._item_bytes > _MOST_BYTES and len(self._items) > 1:
                self._item_bytes -= self._items.popleft()[1]
                dropped += 1
        if dropped:
            self.state.drop(dropped)

    def close(self) -> None:
        """Write the queued lines, then stop; lines that cannot be written are counted."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join(_LAST)
        # A thread that hangs in a system call ends with the process.
        if not self._thread.is_alive():
            self._stream.close()
        self.state.drop(len(self._lines) + len(self._items))

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            self._render_all()
            if time.monotonic() >= self._retry_at:
                self._write_all()
        self._render_all()
        self._write_all()

    def _render_all(self) -> None:
        """Render the items: while lines wait for a disk, the bodies of requests do not stay in memory."""
        while batch := self._next_items():
            for item in batch:
                try:
                    line = self._render(item) + b"\n"
                except Exception as error:  # such as text that is no text: this line alone is lost
                    self.state.lose(error)
                    continue
                self._lines.append(line)
                self._line_bytes += len(line)
                if self._line_bytes > _MOST_BYTES:
                    self._line_bytes -= len(self._lines.popleft())
                    self.state.drop(1)

    def _next_items(self) -> list[Any]:
        """Return the next items, at least one of them unless there is none: the lock costs as much as a short line."""
        batch, taken = [], 0
        with self._lock:
            while self._items and taken < _RENDERED_BYTES:
                item, size = self._items.popleft()
                batch.append(item)
                taken += size
            self._item_bytes -= taken
        return batch

    def _write_all(self) -> None:
        """Write the lines; the thread outlives an error of any kind."""
        try:
            while self._lines:
                batch = list(islice(self._lines, _BATCH))
                self._stream.write(b"".join(batch))
                for line in batch:
                    self._lines.popleft()
                    self._line_bytes -= len(line)
            self._stream.flush()
        except Exception as error:  # a stream may raise errors of its own
            self.state.fail(error)
            self._retry_at = time.monotonic() + self._retry
            self._retry = min(2 * self._retry, _LONGEST_RETRY)
        else:
            self._retry = _FIRST_RETRY
            self.state.recover()
