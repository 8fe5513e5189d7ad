"""A writer of lines with a thread of its own, so that no request waits for a disk."""

import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

_MOST_WAITING = 100_000
_PAUSE = 0.1


class Stream(Protocol):
    """Destination of lines; it is flushed regularly, even if nothing was written."""

    def write(self, text: str, /) -> object:
        """Write lines."""
        ...

    def flush(self) -> None:
        """Flush buffered lines."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


class LineWriter:
    """Appends JSON lines to a file or a stream.

    The hot path only appends to a deque. When the writer cannot keep up, the oldest waiting lines are dropped and
    counted: a full disk must not stop predictions.

    Args:
        target: file to append to, or an open stream; it is closed with the writer, unless it is standard error.
        render: returns the JSON value of a queued item; runs in the writer's thread.
        dropped: called with the number of lines lost.
    """

    def __init__(self, target: Path | Stream, render: Callable[[Any], Any], dropped: Callable[[int], None]) -> None:
        self._stream = _open(target)
        self._render = render
        self._dropped = dropped
        self._waiting: deque[Any] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="almanac-lines", daemon=True)
        self._thread.start()

    def put(self, item: Any) -> None:
        """Queue one line."""
        # The oldest go first: the newest lines explain the present.
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self._dropped(1)
        self._waiting.append(item)

    def close(self) -> None:
        """Write the queued lines, then stop."""
        self._stop.set()
        self._thread.join()
        # Standard error belongs to the process and not to this writer.
        if self._stream is not sys.stderr:
            self._stream.close()

    def _run(self) -> None:
        encoder = msgspec.json.Encoder()
        while not self._stop.wait(_PAUSE):
            self._drain(encoder)
        self._drain(encoder)

    def _drain(self, encoder: msgspec.json.Encoder) -> None:
        count = len(self._waiting)
        if not count:
            self._stream.flush()
            return
        # Rendered here and not in `put`: the hot path only appends.
        lines = [encoder.encode(self._render(self._waiting.popleft())).decode() for _ in range(count)]
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except OSError:
            self._dropped(count)


def _open(target: Path | Stream) -> Stream:
    if not isinstance(target, Path):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    return open(target, "a", encoding="utf-8")
