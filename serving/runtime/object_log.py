"""A log of lines in a directory of any fsspec file system, object stores too, as closed files.

Objects cannot be appended to. Lines are collected in memory, and uploaded as a file of their own every quarter of an
hour, when they have grown large, and at the end. A killed process loses the lines since its last upload, a quarter of
an hour at most.
"""

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

#: Age at which a segment is closed.
SECONDS = 900.0
_LARGEST = 8 << 20
#: Closed segments that may wait for an unavailable store; beyond them the oldest is dropped and counted.
_MOST_WAITING = 6
#: Seconds until a failed upload is tried again.
_PAUSE = 10.0
#: Seconds for the last uploads, well within a pod's grace period.
_LAST = 15.0


class ObjectLog:
    """Stream for `LineWriter` that uploads segments of lines in a thread of its own.

    Args:
        filesystem: fsspec file system.
        directory: path in it.
        dropped: called with the number of lines lost.
        seconds: age at which a segment is closed.
    """

    def __init__(
        self, filesystem: Any, directory: str, dropped: Callable[[int], None], seconds: float = SECONDS
    ) -> None:
        self._filesystem, self._directory = filesystem, directory
        self._dropped = dropped
        self._seconds = seconds
        self._open: list[bytes] = []
        self._size, self._began, self._number = 0, 0.0, 0
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._some, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="almanac-segments", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Append lines to the open segment."""
        if not self._open:
            self._began = time.monotonic()
        self._open.append(data)
        self._size += len(data)

    def flush(self) -> None:
        """Close the segment if it is large or old enough."""
        if self._size >= _LARGEST or (self._open and time.monotonic() - self._began >= self._seconds):
            self._cut()

    def close(self) -> None:
        """Upload the last segments; lines that the store does not accept in time are dropped and counted."""
        if self._open:
            self._cut()
        # In this order: the thread looks at `_ending` once `_some` wakes it.
        self._ending.set()
        self._some.set()
        self._thread.join(_LAST)
        for _, data in self._waiting:
            self._dropped(data.count(b"\n"))

    def _cut(self) -> None:
        """Close the segment, named by the time of its last line so that readers can skip old files."""
        self._number += 1
        until = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        name = f"until-{until}-{socket.gethostname()}-{os.getpid()}-{self._number}.jsonl"
        self._waiting.append((name, b"".join(self._open)))
        self._open, self._size = [], 0
        # Memory must not grow while the store is down.
        if len(self._waiting) > _MOST_WAITING:
            self._dropped(self._waiting.popleft()[1].count(b"\n"))
        self._some.set()

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            while self._waiting:
                if not self._put(*self._waiting[0]):
                    self._ending.wait(_PAUSE)
                    if self._ending.is_set():
                        break
            if self._ending.is_set():
                return

    def _put(self, name: str, data: bytes) -> bool:
        try:
            self._filesystem.makedirs(self._directory, exist_ok=True)
            self._filesystem.pipe_file(f"{self._directory}/{name}", data)
        except Exception as error:  # a store's client raises errors of its own, and predictions go on without it
            logging.getLogger("almanac.serving").warning("predictions are not kept yet: %s: %s", name, error)
            return False
        # The oldest may have been dropped meanwhile.
        if self._waiting and self._waiting[0][0] == name:
            self._waiting.popleft()
        return True
