"""Assemble a server process from its settings."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from almanac.core.errors import ServingError
from almanac.model.bundle import Bundle
from monitoring.metrics import REDIS_AVAILABLE, Metrics
from serving.features.data_freshness import DataFreshness
from serving.features.feature_requests import Features
from serving.features.feature_sets import FeatureSets
from serving.features.store.open import StoreAvailability, StoreLimits, open_ingestor
from serving.operations.canaries import Canaries
from serving.operations.canary_files import CanaryFiles
from serving.operations.live_drift import LiveDrift
from serving.operations.maintenance import LogLevel, Maintenance
from serving.operations.metrics import publish_model_info, scraper, shared_directory
from serving.prediction.cache import PredictionCache
from serving.prediction.feedback import Feedback
from serving.prediction.prediction_log import PredictionLogs
from serving.prediction.repository import Repository
from serving.prediction.service import Service
from serving.prediction.source import Source
from serving.prediction.use_case import UseCase
from serving.protocol.admin import Admin, load
from serving.protocol.canary_orders import CanaryOrders
from serving.protocol.maintenance_orders import MaintenanceOrders
from serving.protocol.openapi import document
from serving.protocol.router import Handler, Router
from serving.protocol.routes import routes
from serving.protocol.step_forecasts import StepForecasts
from serving.protocol.v1 import V1
from serving.protocol.v2 import V2
from serving.runtime.batched_counters import BatchedCounters
from serving.runtime.bounds import Bounds
from serving.runtime.http import Observe
from serving.runtime.in_flight import InFlight
from serving.runtime.line_writer import LineWriter
from serving.runtime.logs import access_log, audit_log, configure_logs
from serving.runtime.readiness import State
from serving.runtime.tracing import tracing
from serving.security.guard import Guard
from serving.security.keys import load_keys
from serving.security.limits import Limiter, MemoryLimiter, RedisLimiter, parse_rates
from serving.settings import Settings
from serving.transport.app import App
from serving.transport.headers import HeaderPolicy
from serving.transport.limits import Limits
from serving.transport.web_guard import WebGuard, known_hosts

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
        canaries: judges new versions beside running ones.
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
    repository = _repository(settings)
    store_limits = StoreLimits(settings.store_entities, settings.store_bytes)
    availability = StoreAvailability(metrics)
    features = FeatureSets(
        lambda name: Features(
            lambda: open_ingestor(
                settings.feature_store, repository.primary(name), metrics, store_limits, availability
            ),
            DataFreshness(metrics),
            executor,
        )
    )
    drift = LiveDrift(metrics, shared_directory())
    logs = PredictionLogs(settings.prediction_log, metrics) if settings.prediction_log else None
    if logs is not None:
        closers.append(logs.close)
        repository.admit(logs.check)
    # A version whose features the open store cannot compute must not take over.
    repository.admit(features.check)
    repository.open()
    _add_second(repository, settings)
    cache: PredictionCache[Any] = PredictionCache(settings.cache_size, metrics)
    service = Service(
        repository, metrics, counters, cache, executor, settings.out_of_range,
        features, [drift] if settings.drift_seconds else [], logs, bounds,
    )  # fmt: skip
    feedback, guard = Feedback(metrics), _guard(settings, metrics)
    admin = Admin(
        repository, state, scraper(registry, counters), features, feedback, lambda: document(repository), bounds
    )
    observers = _observers(settings, metrics, guard, writers, closers)
    canaries = Canaries(
        repository,
        lambda use_case, version: _version(settings, use_case, version),
        settings.canary_bounds,
        metrics,
        _canary_files(settings),
        observers,
    )
    feedback.observers.append(canaries.observed)
    v1 = V1(service)
    maintenance = Maintenance(
        cache.clear,
        lambda name: load(repository, name),
        LogLevel(observers, writers[0], settings.access_log),
        shared_directory(),
    )
    orders = CanaryOrders(canaries), StepForecasts(service), MaintenanceOrders(maintenance)
    router = Router(routes(_handlers(v1, V2(service, state), admin, *orders)))
    limits = Limits(
        settings.max_head, settings.head_seconds, settings.body_seconds, settings.max_body, settings.body_seconds
    )
    headers = HeaderPolicy(settings.tls is not None, tuple(settings.cors or ()))
    web = WebGuard(tuple(settings.cors or ()), known_hosts(settings.host, tuple(settings.allowed_host or ())))
    app = App(router, guard, metrics, counters, headers, limits, lambda: state.draining, observers, web, in_flight)
    state.logs = [writer.state for writer in writers]
    for watcher in (
        lambda *_: router.remember(repository.use_case_names), publish_model_info(metrics), drift.follow,
        feedback.follow, features.follow, service.follow, v1.follow,
    ):  # fmt: skip
        repository.watch(watcher)
    # Last, since it may change the traffic in turn.
    repository.watch(canaries.follow)
    if settings.canary_version is not None:
        _start_canary(settings, repository, canaries)
    canaries.resume()
    return Server(
        settings, metrics, counters, state, repository, features, drift, canaries, maintenance, service, guard, app,
        executor, in_flight, writers, closers,
    )  # fmt: skip


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


def _handlers(
    v1: V1, v2: V2, admin: Admin, orders: CanaryOrders, steps: StepForecasts, maintenance: MaintenanceOrders
) -> dict[tuple[str, str], Handler]:
    """Return the handler of each operation of `serving.protocol.routes`."""
    tables: dict[str, dict[str, Handler]] = {
        "http": {
            "live": admin.live, "health": admin.health, "metrics": admin.metrics, "openapi": admin.openapi,
            "docs": admin.docs,
        },
        "v1": {
            "predict": v1.predict, "explain": v1.explain, "list": v1.models, "ready": v1.ready,
            "ingest": admin.ingest, "feedback": admin.feedback, "steps": steps.forecast,
        },
        "v2": {
            "infer": v2.infer, "metadata": v2.metadata, "live": v2.live, "health": v2.ready, "list": v2.models,
            "model": v2.model, "ready": v2.model_ready, "index": admin.index, "load": admin.load,
            "unload": admin.unload, "canary_state": orders.state, "canary": orders.order,
            "maintenance_state": maintenance.state, "maintenance": maintenance.order,
        },
    }  # fmt: skip
    return {(protocol, verb): handler for protocol, table in tables.items() for verb, handler in table.items()}


def _repository(settings: Settings) -> Repository:
    use_cases = [
        UseCase(
            Source(address, settings.trusted_key, settings.model_version, settings.allow_rejected),
            alias=settings.model_name,
        )
        for address in settings.models
    ]
    for name in settings.pin or ():
        pinned = [one for one in use_cases if one.name == name]
        if not pinned:
            known = ", ".join(one.name for one in use_cases)
            raise ServingError(f"--pin {name}: no --model has this name; one of {known}")
        pinned[0].pinned = True
    return Repository(use_cases, settings.budget)


def _add_second(repository: Repository, settings: Settings) -> None:
    """Load the second version and divide the traffic of its use case."""
    if not settings.second:
        return
    # The registry's address of the second version is not followed: an experiment keeps its versions.
    second = Source(settings.second, settings.trusted_key, allow_rejected=settings.allow_rejected).load()
    use_case = repository.use_cases[0] if len(repository.use_cases) == 1 else repository.find(second.use_case)
    if use_case is None or use_case.traffic is None:
        raise ServingError(f"--second {settings.second}: {second.use_case} is not served here")
    traffic = replace(use_case.traffic, second=second, role=settings.second_role, share=settings.second_share)
    repository.set_traffic(use_case, traffic)


def _version(settings: Settings, use_case: UseCase, version: str) -> Bundle:
    """Load a version of a use case by its number in the registry, or by the address of --canary."""
    if settings.canary_version is not None and version == settings.canary_version[0] and not version.isdigit():
        return Source(version, settings.trusted_key, settings.canary_number).load()
    if not use_case.source.follows_promotions:
        raise ServingError(f"{use_case.name} is no model of a registry, where versions have numbers; see --canary")
    return Source(f"registry:{use_case.name}/{version}", settings.trusted_key).load()


def _canary_files(settings: Settings) -> CanaryFiles | None:
    """Return the files of the canaries: a directory that stays, or that of the workers of this server."""
    directory = settings.canary_state or shared_directory()
    return CanaryFiles(directory) if directory is not None else None


def _start_canary(settings: Settings, repository: Repository, canaries: Canaries) -> None:
    """Start the canary of the settings, which may name a version of the only use case, or any address."""
    version, percent = settings.canary_version or ("", 0.0)
    if version.isdigit():
        if len(repository.use_cases) > 1:
            raise ServingError(f"--canary {settings.canary}: with several models write registry:<use case>/{version}=…")
        canaries.start(repository.use_cases[0], version, percent)
        return
    new = Source(version, settings.trusted_key, settings.canary_number).load()
    use_case = repository.find(new.use_case)
    if use_case is None:
        raise ServingError(f"--canary {settings.canary}: {new.use_case} is not served here")
    canaries.begin_loaded(use_case, new, percent, version)


def _guard(settings: Settings, metrics: Metrics) -> Guard:
    limiter: Limiter = MemoryLimiter()
    if settings.rate_limit_store != "memory://":
        report = metrics.gauge(REDIS_AVAILABLE).labels("limits").set
        limiter = RedisLimiter(settings.rate_limit_store, settings.workers, report)
    rates = parse_rates(settings.rate_limit) if settings.rate_limit else {}
    return Guard(settings.auth, load_keys(settings.keys), rates, limiter, metrics, settings.workers)


def _observers(
    settings: Settings, metrics: Metrics, guard: Guard, writers: list[LineWriter], closers: list[Callable[[], None]]
) -> list[Observe]:
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
