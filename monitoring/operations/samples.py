"""Samples: values of the metrics that pipelines export, which a server cannot know by itself."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

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


def seconds(time: str) -> float:
    """Return seconds since the epoch; a time without zone is UTC."""
    parsed = datetime.fromisoformat(time)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
