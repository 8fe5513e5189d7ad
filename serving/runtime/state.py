"""Whether this process accepts traffic."""

from monitoring.metrics import READY, Metrics


class State:
    """Ready from the first answerable moment until the drain begins."""

    def __init__(self, metrics: Metrics) -> None:
        self.ready = False
        self.draining = False
        self._gauge = metrics.gauge(READY)
        self._gauge.set(0)

    def open(self) -> None:
        """Accept traffic."""
        self.ready = True
        self._gauge.set(1)

    def drain(self) -> None:
        """Say on every probe that traffic should go elsewhere; requests are still answered."""
        self.ready, self.draining = False, True
        self._gauge.set(0)
