"""Accounts of answered requests: counters, latencies, and the observers."""

from monitoring.metrics import LATENCY, LATENCY_BUCKETS, REQUESTS, Metrics
from serving.runtime.batched_counters import BatchedCounter, BatchedCounters, BatchedHistogram
from serving.runtime.http import Observe, Reply, Request


class Accounts:
    """Counts answered requests, and passes them to the observers.

    Args:
        metrics: the metrics.
        counters: batches the metrics of the hot path.
        observers: called with each request and its answer; the list may change.
    """

    def __init__(self, metrics: Metrics, counters: BatchedCounters, observers: list[Observe]) -> None:
        self._metrics = metrics
        self._batched = counters
        self._observers = observers
        self._parts: dict[tuple[str, str, str, str, int], tuple[BatchedCounter, BatchedHistogram]] = {}
        self._timers: dict[tuple[str, str, str], BatchedHistogram] = {}

    def take(self, request: Request, reply: Reply, protocol: str, seconds: float) -> None:
        """Take a request with its answer, and the seconds that it took."""
        # The name in the path becomes a label only if a model answered: anybody can invent names.
        model = request.model if request.answered_by else ""
        key = (model, request.answered_by, protocol, request.verb, reply.status)
        counter, timer = self._parts.get(key) or self._open(*key)
        counter.n += 1
        timer.observe(seconds)
        for observe in self._observers:
            observe(request, reply, protocol, seconds)

    def _open(
        self, model: str, version: str, protocol: str, verb: str, status: int
    ) -> tuple[BatchedCounter, BatchedHistogram]:
        labels = (model, version, protocol, verb, str(status))
        counter = self._batched.counter(self._metrics.counter(REQUESTS).labels(*labels))
        timer = self._timers.get((model, protocol, verb))
        if timer is None:
            histogram = self._metrics.histogram(LATENCY).labels(model, protocol, verb)
            timer = self._timers[model, protocol, verb] = self._batched.histogram(histogram, LATENCY_BUCKETS)
        self._parts[model, version, protocol, verb, status] = counter, timer
        return counter, timer
