"""A time limit for request bodies that costs next to nothing while nobody exceeds it."""

import asyncio
from dataclasses import dataclass
from typing import Any

_LOOKS = 8
"""How often within the limit the clock looks; a limit is kept to an eighth of itself."""


@dataclass(slots=True, eq=False)
class Reading:
    """A body that is being read."""

    task: "asyncio.Task[Any]"
    deadline: float
    late: bool = False


class BodyClock:
    """Cancels what reads a body for longer than `seconds`.

    One timer for all, where `asyncio.timeout` would set and clear one for each request.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._readings: set[Reading] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> Reading:
        """Begin to watch the running task."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a body is read outside of a task")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(self.seconds / _LOOKS, self._look)
        reading = Reading(task, self._loop.time() + self.seconds)
        self._readings.add(reading)
        return reading

    def stop(self, reading: Reading) -> None:
        """Watch no more."""
        self._readings.discard(reading)

    def _look(self) -> None:
        loop = self._loop
        if loop is None:
            return
        now = loop.time()
        for reading in self._readings:
            if reading.deadline < now and not reading.late:
                reading.late = True
                reading.task.cancel()
        loop.call_later(self.seconds / _LOOKS, self._look)
