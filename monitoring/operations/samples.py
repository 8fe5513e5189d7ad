"""Samples: values of the metrics that pipelines export, which a server cannot know by itself."""

import math
from dataclasses import dataclass

from almanac.core.clocks import Clock, seconds_of
from almanac.core.errors import MetricError
from monitoring.metrics import Metric


@dataclass(frozen=True)
class Sample:
    """One value of one metric.

    Attributes:
        metric: its definition.
        labels: values of the metric's labels, in order.
        value: finite.
    """

    metric: Metric
    labels: tuple[str, ...]
    value: float

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.metric.labels):
            expected = ", ".join(self.metric.labels)
            raise MetricError(f"{self.metric.name}: {len(self.labels)} label values; it has the labels {expected}")
        if not math.isfinite(self.value):
            raise MetricError(f"{self.metric.name}{list(self.labels)} is {self.value}; a sample must be finite")


def seconds(time: str, clock: Clock) -> float:
    """Return the seconds since 1970 of a time of this clock.

    Raises:
        MetricError: a time of the other clock.
    """
    try:
        return seconds_of(time, clock)
    except ValueError as error:
        raise MetricError(str(error)) from error
