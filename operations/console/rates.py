"""Rates of logins and acts, by client."""

import time
from collections import deque
from collections.abc import Callable

_CLIENTS = 4_096


class Rate:
    """At most `most` events of a client in `seconds`.

    Args:
        most: number of events.
        seconds: length of the window.
        clock: monotonic seconds; tests give their own.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._events: dict[str, deque[float]] = {}

    def take(self, client: str) -> float:
        """Count an event and return 0, or return the seconds until the next one is allowed."""
        now = self._clock()
        events = self._events.pop(client, deque())
        while events and now - events[0] >= self._seconds:
            events.popleft()
        # The last one asked is the last in the dictionary, so that the longest silent client goes first.
        self._events[client] = events
        if len(self._events) > _CLIENTS:
            del self._events[next(iter(self._events))]
        if len(events) >= self._most:
            return self._seconds - (now - events[0])
        events.append(now)
        return 0.0

    def forget(self, client: str) -> None:
        """Forget a client's events, as after a login that succeeded."""
        self._events.pop(client, None)
