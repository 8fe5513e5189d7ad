"""A circuit breaker: after a failure a remote service is not asked again until a ping in the background succeeds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_LOG = logging.getLogger("almanac.serving")
#: Seconds before the first ping; each further pause is twice as long, up to the second number.
_FIRST, _LONGEST = 0.05, 5.0


class CircuitBreaker:
    """Keeps requests from waiting for a service that does not answer.

    Args:
        name: the service, for the log.
        ping: asks the service; raises while it does not answer.
        report: called with whether the service is available, at once and at each change.
        otherwise: what happens while it is not, for the log.
    """

    def __init__(
        self, name: str, ping: Callable[[], Awaitable[object]], report: Callable[[bool], object], otherwise: str
    ) -> None:
        self._name = name
        self._ping = ping
        self._report = report
        self._otherwise = otherwise
        self._task: asyncio.Task[None] | None = None
        self.open = False
        report(True)

    def trip(self, error: BaseException) -> None:
        """Open after a failure; the pings end it."""
        if self.open:
            return
        self.open = True
        self._report(False)
        _LOG.warning("%s does not answer (%s); %s", self._name, error or type(error).__name__, self._otherwise)
        self._task = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        pause = _FIRST
        while True:
            await asyncio.sleep(pause)
            try:
                await self._ping()
            except Exception:  # whatever a client raises: only an answer counts
                pause = min(2 * pause, _LONGEST)
            else:
                break
        self.open = False
        self._report(True)
        _LOG.info("%s answers again", self._name)

    def close(self) -> None:
        """End the pings."""
        if self._task is not None:
            self._task.cancel()
