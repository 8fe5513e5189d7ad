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
        self._counters: dict[tuple[str, str, str, str, int], BatchedCounter] = {}
        self._timers: dict[tuple[str, str, str], BatchedHistogram] = {}

    def take(self, request: Request, reply: Reply, protocol: str, seconds: float) -> None:
        """Take a request with its answer, and the seconds that it took."""
        # The name in the path becomes a label only if a model answered: anybody can invent names.
        model = request.model if request.answered_by else ""
        key = (model, request.answered_by, protocol, request.verb, reply.status)
        counter = self._counters.get(key)
        if counter is None:
            labels = (*key[:4], str(reply.status))
            counter = self._counters[key] = self._batched.counter(self._metrics.counter(REQUESTS).labels(*labels))
        counter.n += 1
        timer = self._timers.get((model, protocol, request.verb))
        if timer is None:
            histogram = self._metrics.histogram(LATENCY).labels(model, protocol, request.verb)
            timer = self._batched.histogram(histogram, LATENCY_BUCKETS)
            self._timers[model, protocol, request.verb] = timer
        timer.observe(seconds)
        for observe in self._observers:
            observe(request, reply, protocol, seconds)
