"""How old the data are, whether anybody asks for a prediction or not."""

import time

from monitoring.metrics import DATA_AGE, DATA_NEWEST, Metrics
from serving.inputs.raw import RawSchema
from serving.refusal import Refusal
from serving.store.base import Store


class DataAge:
    """Shows the time of the newest observation, and how far it lies behind the clock.

    The store is asked at each scrape, so that every worker and replica tells of what any of them took.

    Args:
        metrics: where both are shown.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._newest, self._age = metrics.gauge(DATA_NEWEST), metrics.gauge(DATA_AGE)
        self._seconds: float | None = None

    async def show(self, store: Store, schema: RawSchema, models: list[str]) -> None:
        """Renew the figures of the models that are fed by the store; without any observation there are none."""
        try:
            step = await store.newest(None)
        except Refusal:
            step = None  # the data age on while the store does not answer
        if step is not None:
            self._seconds = step * schema.step / 1e6
        if self._seconds is None:
            return
        for model in models:
            self._newest.labels(model).set(self._seconds)
            self._age.labels(model).set(max(0.0, time.time() - self._seconds))
