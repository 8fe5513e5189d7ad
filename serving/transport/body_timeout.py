"""A time limit for request bodies that costs almost nothing while nobody exceeds it."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from serving.runtime.errors import HTTPError

#: Checks within the limit, which is therefore kept to an eighth of itself.
_CHECKS = 8


@dataclass(slots=True, eq=False)
class Reading:
    """A body that is being read."""

    task: "asyncio.Task[Any]"
    deadline: float
    late: bool = False


class BodyTimeout:
    """Cancels tasks that read a body for longer than `seconds`.

    One timer serves all of them, where `asyncio.timeout` would set and clear one for each request.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._readings: set[Reading] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def limit(self, reading: Awaitable[bytes]) -> bytes:
        """Read a body in time.

        Raises:
            HTTPError: 408, it did not arrive.
        """
        timed = self._start()
        try:
            return await reading
        except asyncio.CancelledError:
            if not timed.late:
                raise
            # The time-out is answered here, so its cancellation must not stay counted in the task.
            timed.task.uncancel()
            message = f"the body did not arrive within {self.seconds:g} s"
            raise HTTPError(HTTPStatus.REQUEST_TIMEOUT, message, {"connection": "close"}) from None
        finally:
            self._readings.discard(timed)

    def _start(self) -> Reading:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a body is read outside of a task")
        if self._loop is None:
            # The timer starts with the first body: the loop does not run yet when the application is built.
            self._loop = asyncio.get_running_loop()
            self._schedule(self._loop)
        reading = Reading(task, self._loop.time() + self.seconds)
        self._readings.add(reading)
        return reading

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(self.seconds / _CHECKS, self._check, loop)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        # `cancel` takes effect in a later round of the loop, so the set does not change here.
        for reading in self._readings:
            if reading.deadline < now and not reading.late:
                reading.late = True
                reading.task.cancel()
        self._schedule(loop)
