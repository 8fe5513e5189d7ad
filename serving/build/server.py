"""The parts of a server process, and how they are put together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from monitoring.metrics import Metrics
from serving.build.admission import made_guard, made_observers
from serving.build.features import made_features
from serving.build.handlers import made_router
from serving.build.models import add_second, made_canaries, made_repository, start_canary
from serving.build.transport import made_app
from serving.features.feature_sets import FeatureSets
from serving.operations.canaries import Canaries
from serving.operations.live_drift import LiveDrift
from serving.operations.maintenance import LogLevel, Maintenance
from serving.operations.metrics import publish_model_info, scraper, shared_directory
from serving.prediction.cache import PredictionCache
from serving.prediction.feedback import Feedback
from serving.prediction.prediction_log import PredictionLogs
from serving.prediction.repository import Repository
from serving.prediction.service import Service
from serving.protocol.admin import Admin, load
from serving.protocol.canary_orders import CanaryOrders
from serving.protocol.maintenance_orders import MaintenanceOrders
from serving.protocol.openapi import document
from serving.protocol.step_forecasts import StepForecasts
from serving.protocol.v1 import V1
from serving.protocol.v2 import V2
from serving.runtime.batched_counters import BatchedCounters
from serving.runtime.bounds import Bounds
from serving.runtime.in_flight import InFlight
from serving.runtime.line_writer import LineWriter
from serving.runtime.logs import configure_logs
from serving.runtime.readiness import State
from serving.security.guard import Guard
from serving.settings import Settings
from serving.transport.app import App

if TYPE_CHECKING:
    from serving.protocol.grpc_calls import Calls


@dataclass
class Server:
    """The parts of one server process.

    Attributes:
        settings: the settings.
        metrics: the metrics.
        counters: batched counters of the hot path.
        state: whether it accepts traffic.
        repository: the models.
        feature_sets: features at request time of each use case, with their stores.
        drift: counts the predicted rows.
        canaries: compares new versions with running ones.
        maintenance: carries out orders on log level, caches and loaded versions.
        service: the predictions.
        guard: admits requests.
        app: the ASGI application.
        executor: threads for large requests.
        in_flight: memory of requests and answers.
        writers: logs to close at the end.
        closers: further functions to call then.
        port: port of HTTP, once it listens.
    """

    settings: Settings
    metrics: Metrics
    counters: BatchedCounters
    state: State
    repository: Repository
    feature_sets: FeatureSets
    drift: LiveDrift
    canaries: Canaries
    maintenance: Maintenance
    service: Service
    guard: Guard
    app: App
    executor: ThreadPoolExecutor
    in_flight: InFlight
    writers: list[LineWriter] = field(default_factory=list)
    closers: list[Callable[[], None]] = field(default_factory=list)
    port: int = 0

    async def close(self) -> None:
        """Close everything, logs last."""
        # The store first: its last writes may still log; the logs last.
        await self.feature_sets.close()
        await self.guard.close()
        self.executor.shutdown(wait=True)
        for close in self.closers:
            close()
        for writer in self.writers:
            writer.close()
        self.counters.flush()


def build(settings: Settings) -> Server:
    """Load the models and assemble the server.

    Raises:
        AlmanacError: a model, key file or store that cannot be used.
    """
    # Not the global registry: several servers in one process, as in tests, would share its metrics.
    registry = CollectorRegistry()
    metrics, counters = Metrics(registry), BatchedCounters()
    writers = [configure_logs(metrics)]
    closers: list[Callable[[], None]] = []
    state, executor = State(metrics), ThreadPoolExecutor(settings.threads, thread_name_prefix="almanac-rows")
    in_flight = InFlight(settings.max_in_flight, settings.threads)
    bounds = Bounds(settings.max_rows, settings.max_values, settings.max_answer)
    repository = made_repository(settings)
    features = made_features(settings, repository, metrics, executor)
    drift = LiveDrift(metrics, shared_directory())
    logs = PredictionLogs(settings.prediction_log, metrics) if settings.prediction_log else None
    if logs is not None:
        closers.append(logs.close)
    _load(repository, settings, features, logs)
    cache: PredictionCache[Any] = PredictionCache(settings.cache_size, metrics)
    service = Service(
        repository, metrics, counters, cache, executor, settings.out_of_range,
        features, [drift] if settings.drift_seconds else [], logs, bounds,
    )  # fmt: skip
    feedback, guard = Feedback(metrics), made_guard(settings, metrics)
    admin = Admin(
        repository, state, scraper(registry, counters), features, feedback, lambda: document(repository), bounds
    )
    observers = made_observers(settings, metrics, guard, writers, closers)
    canaries = made_canaries(settings, repository, metrics, observers)
    feedback.observers.append(canaries.observed)
    v1 = V1(service)
    level = LogLevel(observers, writers[0], settings.access_log)
    maintenance = Maintenance(cache.clear, lambda name: load(repository, name), level, shared_directory())
    router = made_router(
        v1, V2(service, state), admin, CanaryOrders(canaries), StepForecasts(service), MaintenanceOrders(maintenance)
    )
    app = made_app(settings, router, guard, metrics, counters, lambda: state.draining, observers, in_flight)
    state.logs = [writer.state for writer in writers]
    for watcher in (
        lambda *_: router.remember(repository.use_case_names), publish_model_info(metrics), drift.follow,
        feedback.follow, features.follow, service.counters.follow, v1.follow,
    ):  # fmt: skip
        repository.watch(watcher)
    # Last, since it may change the traffic in turn.
    repository.watch(canaries.follow)
    if settings.canary_version is not None:
        start_canary(settings, repository, canaries)
    canaries.resume()
    return Server(
        settings, metrics, counters, state, repository, features, drift, canaries, maintenance, service, guard, app,
        executor, in_flight, writers, closers,
    )  # fmt: skip


def _load(repository: Repository, settings: Settings, features: FeatureSets, logs: PredictionLogs | None) -> None:
    """Load the models; a version must fit the open prediction logs and feature stores."""
    if logs is not None:
        repository.admit(logs.check)
    # A version whose features the open store cannot compute must not take over.
    repository.admit(features.check)
    repository.open()
    add_second(repository, settings)


def grpc_calls(server: Server) -> "Calls":
    """Return the gRPC services of a server; grpc is imported only where it is used."""
    from serving.protocol.grpc_calls import Calls, MessageLimits
    from serving.protocol.grpc_health import HEALTH, Health, reflection_methods
    from serving.protocol.grpc_servicer import SERVICE, Servicer

    settings = server.settings
    services = {
        SERVICE: Servicer(server.service, server.state).methods,
        HEALTH: Health(server.repository, server.state, SERVICE).methods,
    }
    services |= reflection_methods(list(services))
    limits = MessageLimits(max(1, settings.max_in_flight // settings.max_message), settings.body_seconds)
    return Calls(
        services, server.guard, server.metrics, server.app.observers, server.in_flight, limits,
        lambda model: server.repository.use_case_names.get(model, ""),
    )  # fmt: skip
