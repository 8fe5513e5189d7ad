"""Open the feature store of `--feature-store`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from almanac.core.errors import ServingError
from almanac.model.bundle import Bundle
from monitoring.metrics import REDIS_AVAILABLE, Metrics
from serving.features.event_store import EventStore, has_events
from serving.features.row_layout import raw_schema
from serving.features.store.base import MeteredStore, Store
from serving.features.store.memory import MemoryStore
from serving.features.store.observations import Ingestor
from serving.runtime.redaction import redacted


class StoreLimits(NamedTuple):
    """Bounds on the rows that clients can store.

    Attributes:
        entities: most entities of a use case with an entity column; one without has one series.
        bytes: most bytes of the store in memory.
    """

    entities: int = 10_000
    bytes: int = 64 << 20


DEFAULT_LIMITS = StoreLimits()


class StoreAvailability:
    """Whether Redis answers the stores of all use cases of a process, as one metric: 0 while one is not answered.

    Args:
        metrics: the metrics.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._gauge = metrics.gauge(REDIS_AVAILABLE)
        self._away: set[str] = set()

    def report(self, use_case: str, available: bool) -> None:
        """Take whether Redis answers the store of a use case."""
        (self._away.discard if available else self._away.add)(use_case)
        self._gauge.labels("features").set(not self._away)


def open_ingestor(
    url: str,
    bundle: Bundle,
    metrics: Metrics,
    limits: StoreLimits = DEFAULT_LIMITS,
    availability: StoreAvailability | None = None,
) -> Ingestor | EventStore:
    """Open the feature store at `url` for the raw columns of a bundle.

    Args:
        url: address of the store.
        bundle: the model.
        metrics: the metrics.
        limits: bounds on the rows that clients can store.
        availability: that of the stores of all use cases; None where there is one.

    Raises:
        AlmanacError: a store that cannot be opened, or a model without raw columns.
    """
    if any(has_events(model) for model in bundle.targets.values()):
        if url != "memory://":
            raise ServingError(f"--feature-store {redacted(url)}: events are kept in memory; use memory://")
        return EventStore(bundle, metrics)
    schema, entity, history = raw_schema(bundle)
    namespace = f"{bundle.use_case}:{schema.digest}"
    report = partial((availability or StoreAvailability(metrics)).report, bundle.use_case)
    store = open_store(url, namespace, len(schema.names), history, limits, report)
    return Ingestor(MeteredStore(store, metrics), schema, entity, metrics)


def open_store(
    url: str,
    namespace: str,
    width: int,
    history: int,
    limits: StoreLimits = DEFAULT_LIMITS,
    report: Callable[[bool], object] = lambda available: None,
) -> Store:
    """Return the store at `url`.

    Args:
        url: memory://, sqlite:///path or redis://host:port/db.
        namespace: schema of the rows.
        width: numbers in a row.
        history: steps that one prediction needs.
        limits: bounds on the rows that clients can store.
        report: called with whether a store in Redis answers.

    Raises:
        ServingError: a URL of another kind, or a file that cannot be opened.
    """
    if url == "memory://":
        return MemoryStore(width, max(1024, 4 * history), limits.entities, limits.bytes)
    if url.startswith("sqlite:///"):
        from serving.features.store.sqlite import SqliteStore

        return SqliteStore(Path(url.removeprefix("sqlite:///")), namespace, width, limits.entities)
    if url.startswith(("redis://", "rediss://", "unix://")):
        from serving.features.store.redis import RedisStore

        return RedisStore(url, namespace, width, limits.entities, report)
    raise ServingError(f"--feature-store {redacted(url)}: one of memory://, sqlite:///path, redis://host:port/db")
