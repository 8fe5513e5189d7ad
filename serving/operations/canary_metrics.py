"""The metrics of canaries: share, state, and by how much they are worse."""

import math

from monitoring.metrics import CANARY_EXCESS, CANARY_SHARE, CANARY_STATE, Metrics
from serving.prediction.canary import STATES, Canary
from serving.prediction.confidence_sequence import Interval


class CanaryMetrics:
    """Publishes canaries.

    Args:
        metrics: the metrics.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def forget(self, canary: Canary) -> None:
        """Show no state of a canary that is not the newest one any more."""
        for state in STATES:
            self._metrics.gauge(CANARY_STATE).labels(canary.new.use_case, canary.new.version, state).set(0)

    def publish(self, canary: Canary) -> None:
        """Update the metrics of a canary."""
        labels = canary.new.use_case, canary.new.version
        self._metrics.gauge(CANARY_SHARE).labels(*labels).set(canary.percent / 100 if canary.active else 0)
        for state in STATES:
            self._metrics.gauge(CANARY_STATE).labels(*labels, state).set(int(canary.state == state))

        def show(measure: str, excess: Interval) -> None:
            for end, value in ("low", excess.low), ("mean", excess.mean), ("high", excess.high):
                if math.isfinite(value) and excess.count:
                    self._metrics.gauge(CANARY_EXCESS).labels(*labels, measure, end).set(value)

        canary.each(show)
