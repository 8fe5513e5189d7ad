"""The guard of a server and the observers of its requests, from its settings."""

from collections.abc import Callable

from monitoring.metrics import REDIS_AVAILABLE, Metrics
from serving.runtime.http import Observe
from serving.runtime.line_writer import LineWriter
from serving.runtime.logs import access_log, audit_log
from serving.runtime.tracing import tracing
from serving.security.guard import Guard
from serving.security.keys import load_keys
from serving.security.limits import Limiter, MemoryLimiter, RedisLimiter, parse_rates
from serving.settings import Settings


def made_guard(settings: Settings, metrics: Metrics) -> Guard:
    """Return the guard of a server.

    Raises:
        ServingError: a key file or a store of limits that cannot be used.
    """
    limiter: Limiter = MemoryLimiter()
    if settings.rate_limit_store != "memory://":
        report = metrics.gauge(REDIS_AVAILABLE).labels("limits").set
        limiter = RedisLimiter(settings.rate_limit_store, settings.workers, report)
    rates = parse_rates(settings.rate_limit) if settings.rate_limit else {}
    return Guard(settings.auth, load_keys(settings.keys), rates, limiter, metrics, settings.workers)


def made_observers(
    settings: Settings, metrics: Metrics, guard: Guard, writers: list[LineWriter], closers: list[Callable[[], None]]
) -> list[Observe]:
    """Return the observers of answered requests; their writers and closing functions are added to the lists.

    Raises:
        ServingError: the audit log cannot be written.
    """
    observers: list[Observe] = []
    if settings.access_log != "off":
        observers.append(access_log(writers[0], settings.access_log))
    if settings.audit_log is not None:
        writer, observe = audit_log(settings.audit_log, metrics, guard.identify)
        writers.append(writer)
        observers.append(observe)
    if traced := tracing():
        observers.append(traced[0])
        closers.append(traced[1])
    return observers
