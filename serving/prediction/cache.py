"""The prediction cache: bounded, least recently used out first, keyed by model digest and row."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from monitoring.metrics import CACHE, CACHE_SIZE, Metrics

V = TypeVar("V")


class PredictionCache(Generic[V]):
    """Answers of rows that were asked before; used by the event loop's thread alone.

    The digest in the key makes a swapped model start afresh.

    Args:
        size: most entries; 0 keeps nothing.
        metrics: where hits and misses are counted.
    """

    def __init__(self, size: int, metrics: Metrics) -> None:
        self.size = size
        self._entries: OrderedDict[Hashable, V] = OrderedDict()
        self._hit = metrics.counter(CACHE).labels("hit")
        self._miss = metrics.counter(CACHE).labels("miss")
        self._held = metrics.gauge(CACHE_SIZE)

    def get(self, key: Hashable) -> V | None:
        """Return the answer kept under `key`, or None."""
        found = self._entries.get(key)
        if found is None:
            self._miss.inc()
            return None
        self._entries.move_to_end(key)
        self._hit.inc()
        return found

    def put(self, key: Hashable, value: V) -> None:
        """Keep an answer."""
        self._entries[key] = value
        if len(self._entries) > self.size:
            self._entries.popitem(last=False)
        self._held.set(len(self._entries))
