"""The prediction cache: bounded, least recently used out first, keyed by model digest and row."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from monitoring.metrics import CACHE, CACHE_SIZE, Metrics

V = TypeVar("V")


class PredictionCache(Generic[V]):
    """Cached answers; only for the event loop's thread.

    Keys contain the model's digest, so that a new version starts with no entries.

    Args:
        size: most entries; 0 disables the cache.
        metrics: the metrics of hits and misses.
    """

    def __init__(self, size: int, metrics: Metrics) -> None:
        self.size = size
        self._entries: OrderedDict[Hashable, V] = OrderedDict()
        self._hit = metrics.counter(CACHE).labels("hit")
        self._miss = metrics.counter(CACHE).labels("miss")
        self._count = metrics.gauge(CACHE_SIZE)

    def get(self, key: Hashable) -> V | None:
        """Return the cached answer, or None."""
        # None is no answer, so that one look-up is enough.
        value = self._entries.get(key)
        if value is None:
            self._miss.inc()
            return None
        self._entries.move_to_end(key)
        self._hit.inc()
        return value

    def clear(self) -> None:
        """Forget all answers."""
        self._entries.clear()
        self._count.set(0)

    def put(self, key: Hashable, value: V) -> None:
        """Cache an answer."""
        self._entries[key] = value
        if len(self._entries) > self.size:
            self._entries.popitem(last=False)
        self._count.set(len(self._entries))
