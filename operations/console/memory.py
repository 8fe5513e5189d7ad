"""The history as the console reads it: made again when its origins change."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine

from almanac.core.errors import AlmanacError
from governance.registry import Registry
from governance.registry.events import event_chain
from governance.registry.reader import USE_CASES
from operations.history import Origins, rebuild
from operations.history.sources.runs import run_directories
from operations.journal import Journal
from orchestration.retraining.audit_log import AuditLog

T = TypeVar("T")


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
        self._state: tuple[Any, ...] = ()
        self._answers: dict[tuple[Any, ...], Any] = {}
        self._registry = Registry(origins.registry)

    def refresh(self) -> None:
        """Make the history again if an origin has changed; a failure is shown on every page, over the old rows."""
        with self._lock:
            try:
                state = self._present()
                if state == self._state:
                    return
                rebuild(self.engine, self.origins)
                self._state, self.problem = state, ""
            except AlmanacError as error:
                self.problem = str(error)
            self._answers = {}

    def answer(self, key: tuple[Any, ...], query: Callable[[], T]) -> T:
        """Return a query's answer, asked once for each state of the history."""
        answers = self._answers
        if key not in answers:
            answers[key] = query()
        found: T = answers[key]
        return found

    def _present(self) -> tuple[Any, ...]:
        """Return an identification of the origins' state: a small read a log, and the names of the runs."""
        url, reader = self.origins.registry, self._registry
        # Chains are read and checked by the rebuild, once they have grown.
        heads = [
            (name, event_chain(reader.store, name).head(), AuditLog(url, name).head(), Journal(url, name).head())
            for name in reader.store.keys(USE_CASES)
        ]
        return (*heads, tuple(map(str, run_directories(self.origins.runs))))
