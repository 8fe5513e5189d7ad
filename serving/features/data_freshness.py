"""How old the data are, whether anybody asks for a prediction or not."""

import time
from collections.abc import Mapping

from monitoring.metrics import DATA_AGE, DATA_NEWEST, Metrics
from serving.features.raw_schema import RawSchema, micros_of
from serving.features.store.base import Store
from serving.runtime.errors import HTTPError


class DataFreshness:
    """Shows the time of the newest observation, and how far it lies behind the clock.

    The store is asked at each scrape, so that every worker and replica tells of what any of them took.

    Args:
        metrics: where both are shown.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._newest, self._age = metrics.gauge(DATA_NEWEST), metrics.gauge(DATA_AGE)
        self._seconds: float | None = None

    async def show(self, store: Store, schema: RawSchema, models: Mapping[str, str | None]) -> None:
        """Renew the figures of the models that are fed by the store; without any observation there are none.

        Args:
            store: where the observations are.
            schema: their columns.
            models: for each model the time in ISO 8601 that stands for the present, as of an archive; None for the
                clock.
        """
        try:
            step = await store.newest(None)
        except HTTPError:
            step = None  # the data age on while the store does not answer
        if step is not None:
            self._seconds = step * schema.step / 1e6
        if self._seconds is None:
            return
        for model, present in models.items():
            now = time.time() if present is None else micros_of(present, "as_of") / 1e6
            self._newest.labels(model).set(self._seconds)
            self._age.labels(model).set(max(0.0, now - self._seconds))
