"""The history as the console reads it: it follows its origins."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine

from almanac.core.errors import AlmanacError
from operations.history import Origins, update

T = TypeVar("T")

#: Seconds between two looks at the prediction log: a server adds to it all the time, and pages show its hours.
_LOG_SECONDS = 300


class Memory:
    """The history with its origins.

    Args:
        engine: the history.
        origins: where its rows come from.
    """

    def __init__(self, engine: Engine, origins: Origins) -> None:
        self.engine, self.origins = engine, origins
        self.problem = ""
        self._lock = threading.Lock()
        self._state, self._log_due = "", 0.0
        self._answers: dict[tuple[Any, ...], Any] = {}

    def refresh(self) -> None:
        """Follow the origins where they have changed; a failure is shown on every page, over the old rows."""
        with self._lock:
            try:
                due = time.monotonic() >= self._log_due
                state = update(self.engine, self.origins, log=due)
                if due:
                    self._log_due = time.monotonic() + _LOG_SECONDS
                self.problem = ""
                if state == self._state:
                    return
                self._state = state
            # Whatever an origin's own client raises, the next look is to come.
            except (AlmanacError, OSError) as error:
                self.problem = str(error)
            self._answers = {}

    def answer(self, key: tuple[Any, ...], query: Callable[[], T]) -> T:
        """Return a query's answer, asked once for each state of the history."""
        answers = self._answers
        if key not in answers:
            answers[key] = query()
        found: T = answers[key]
        return found
