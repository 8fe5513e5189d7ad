"""Counters of the hot path: plain numbers that are added to the Prometheus metrics twice a second.

`Counter.inc` takes a lock and about a microsecond; an answer needs five of them.
"""

from bisect import bisect_left
from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram


class BatchedCounter:
    """Increments not yet flushed to a Prometheus counter; add to `n`."""

    __slots__ = ("_counter", "n")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.n = 0

    def flush(self) -> None:
        """Add the increments to the counter."""
        n, self.n = self.n, 0
        if n:
            self._counter.inc(n)


class BatchedHistogram:
    """Observations not yet flushed to a Prometheus histogram."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum")

    def __init__(self, histogram: Histogram, bounds: tuple[float, ...]) -> None:
        self._histogram = histogram
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def flush(self) -> None:
        """Add the observations to the histogram."""
        counts, self._counts = self._counts, [0] * (len(self._bounds) + 1)
        total, self._sum = self._sum, 0.0
        # prometheus_client has no public method that takes several observations at once.
        for bucket, count in zip(self._histogram._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        if total:
            self._histogram._sum.inc(total)


class BatchedGauge:
    """A gauge that is set at each flush: `Gauge.set_function` does nothing where several processes add up."""

    __slots__ = ("_gauge", "_read")

    def __init__(self, gauge: Gauge, read: Callable[[], float]) -> None:
        self._gauge = gauge
        self._read = read

    def flush(self) -> None:
        """Set the gauge."""
        self._gauge.set(self._read())


class BatchedCounters:
    """All batched counters and histograms of a process."""

    def __init__(self) -> None:
        self._parts: list[BatchedCounter | BatchedHistogram | BatchedGauge] = []
        self._counters: dict[int, BatchedCounter] = {}

    def counter(self, counter: Counter) -> BatchedCounter:
        """Return the batched form of a counter, the same for the same one."""
        # A version that comes back, or a second look-up, then adds nothing that stays.
        part = self._counters.get(id(counter))
        if part is None:
            part = self._counters[id(counter)] = BatchedCounter(counter)
            self._parts.append(part)
        return part

    def histogram(self, histogram: Histogram, bounds: tuple[float, ...]) -> BatchedHistogram:
        """Return the batched form of a histogram with these bucket bounds."""
        part = BatchedHistogram(histogram, bounds)
        self._parts.append(part)
        return part

    def gauge(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """Set a gauge at each flush to the value that `read` returns."""
        self._parts.append(BatchedGauge(gauge, read))

    def flush(self) -> None:
        """Add everything to the metrics."""
        for part in list(self._parts):
            part.flush()
