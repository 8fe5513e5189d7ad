"""The age of the newest observation, whether anybody asks for a prediction or not."""

import time
from collections.abc import Mapping
from typing import Protocol

from almanac.core.grid import Grid
from monitoring.metrics import DATA_AGE, DATA_NEWEST, Metrics
from serving.features.raw_schema import micros_of
from serving.runtime.errors import HTTPError


class Newest(Protocol):
    """A store that knows its newest time."""

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step of an entity, or of all."""


class Steps(Protocol):
    """A schema whose steps have times."""

    @property
    def grid(self) -> Grid:
        """The grid of the times."""


class DataFreshness:
    """Metrics of the newest observation's time and age.

    The store is asked at each scrape, so that every worker reports observations that any of them took.

    Args:
        metrics: the metrics.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._newest, self._age = metrics.gauge(DATA_NEWEST), metrics.gauge(DATA_AGE)
        self._seconds: float | None = None

    async def update(self, store: "Newest", schema: "Steps", models: Mapping[str, str | None]) -> None:
        """Update the metrics of models that the store feeds; without any observation there are none.

        Args:
            store: the observations.
            schema: their columns.
            models: for each model the time in ISO 8601 that counts as now, as for an archive; None for the clock.
        """
        try:
            step = await store.newest(None)
        except HTTPError:
            step = None  # the data age on while the store does not answer
        if step is not None:
            self._seconds = schema.grid.time(step) / 1e6
        if self._seconds is None:
            return
        for model, as_of in models.items():
            now = time.time() if as_of is None else micros_of(as_of, "as_of") / 1e6
            self._newest.labels(model).set(self._seconds)
            self._age.labels(model).set(max(0.0, now - self._seconds))
