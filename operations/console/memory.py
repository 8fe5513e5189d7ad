"""The history as the console reads it: made again when its origins change."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine

from almanac.core.errors import AlmanacError
from governance.registry import Registry
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
        self.generation = 0
        self.problem = ""
        self._lock = threading.Lock()
        self._state: tuple[Any, ...] = ()
        self._answers: dict[tuple[Any, ...], Any] = {}

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
            self.generation += 1
            self._answers = {}

    def answer(self, key: tuple[Any, ...], query: Callable[[], T]) -> T:
        """Return a query's answer, asked once for each state of the history."""
        answers = self._answers
        if key not in answers:
            answers[key] = query()
        found: T = answers[key]
        return found

    def _present(self) -> tuple[Any, ...]:
        registry = Registry(self.origins.registry)
        heads = []
        for use_case in registry.use_cases():
            last = registry.state(use_case).last
            logs = (AuditLog, Journal)
            heads.append((use_case, last and last.digest, *(self._last(log, use_case) for log in logs)))
        return (*heads, tuple(map(str, run_directories(self.origins.runs))))

    def _last(self, log: type[AuditLog], use_case: str) -> str:
        entries = log(self.origins.registry, use_case).entries()
        return entries[-1].digest if entries else ""
