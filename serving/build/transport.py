"""The ASGI application of a server, from its settings."""

from collections.abc import Callable

from monitoring.metrics import Metrics
from serving.protocol.router import Router
from serving.runtime.batched_counters import BatchedCounters
from serving.runtime.http import Observe
from serving.runtime.in_flight import InFlight
from serving.security.guard import Guard
from serving.settings import Settings
from serving.transport.app import App
from serving.transport.headers import HeaderPolicy
from serving.transport.limits import Limits
from serving.transport.web_guard import WebGuard, known_hosts


def made_app(
    settings: Settings,
    router: Router,
    guard: Guard,
    metrics: Metrics,
    counters: BatchedCounters,
    draining: Callable[[], bool],
    observers: list[Observe],
    in_flight: InFlight,
) -> App:
    """Return the application; the arguments are those of `App`."""
    limits = Limits(
        settings.max_head, settings.head_seconds, settings.body_seconds, settings.max_body, settings.body_seconds
    )
    origins = tuple(settings.cors or ())
    headers = HeaderPolicy(settings.tls is not None, origins)
    web = WebGuard(origins, known_hosts(settings.host, tuple(settings.allowed_host or ())))
    return App(router, guard, metrics, counters, headers, limits, draining, observers, web, in_flight)
