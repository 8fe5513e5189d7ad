"""Puts a server process together from its settings."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from almanac.model.bundle import Bundle
from almanac.model.prediction import Row
from monitoring.metrics import Metrics
from serving.features.data_freshness import DataAge
from serving.features.feature_requests import Features
from serving.features.row_layout import raw_schema
from serving.features.store.base import MeteredStore
from serving.features.store.observations import Ingestor
from serving.features.store.open import open_store
from serving.operations.live_drift import DriftWatch
from serving.operations.model_info import publish_model_info
from serving.operations.scrape import scraper, shared_directory
from serving.prediction.cache import PredictionCache
from serving.prediction.feedback import Feedback
from serving.prediction.prediction_log import Journal
from serving.prediction.repository import Repository, Traffic
from serving.prediction.service import Observer, Service
from serving.prediction.source import Source
from serving.protocol.admin import Manage
from serving.protocol.openapi import document
from serving.protocol.router import Handler, Router
from serving.protocol.routes import routes
from serving.protocol.v1 import V1
from serving.protocol.v2 import V2
from serving.runtime.batched_counters import Tally
from serving.runtime.line_writer import LineWriter
from serving.runtime.logs import Observe, access_log, audit_log, configure_logs
from serving.runtime.state import State
from serving.runtime.tracing import tracing
from serving.security.guard import Guard
from serving.security.keys import load_keys
from serving.security.limits import Limiter, MemoryLimiter, RedisLimiter, parse_rate
from serving.settings import Settings
from serving.transport.app import App
from serving.transport.headers import HeaderPolicy
from serving.transport.request_limits import Limits


@dataclass
class Server:
    """The parts of one server process.

    Attributes:
        settings: as given.
        state: whether it accepts traffic.
        repository: the models.
        source: where the models come from.
        service: the predictions.
        guard: admits requests.
        features: features at request time, with the feature store.
        drift: counts what is predicted.
        app: the ASGI application.
        metrics: the metrics.
        tally: counts that wait to be added to them.
        executor: threads for large requests.
        writers: logs to close at the end.
        closers: what else is to be called then.
        port: port that HTTP is served on, once it is.
    """

    settings: Settings
    state: State
    repository: Repository
    source: Source
    service: Service
    guard: Guard
    features: Features
    drift: DriftWatch
    app: App
    metrics: Metrics
    tally: Tally
    executor: ThreadPoolExecutor
    writers: list[LineWriter] = field(default_factory=list)
    closers: list[Callable[[], None]] = field(default_factory=list)
    port: int = 0

    async def close(self) -> None:
        """Let go of everything, logs last."""
        await self.features.close()
        self.executor.shutdown(wait=True)
        for close in self.closers:
            close()
        for writer in self.writers:
            writer.close()
        self.tally.flush()


def build(settings: Settings) -> Server:
    """Load the models and put everything together.

    Raises:
        AlmanacError: a model, key file or store that cannot be used; the message says why.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    writers = [configure_logs(metrics)]
    closers: list[Callable[[], None]] = []
    source = Source(settings.model, settings.trusted_key, settings.model_version)
    state, executor = State(metrics), ThreadPoolExecutor(settings.threads, thread_name_prefix="almanac-rows")
    repository = Repository(_traffic(settings, source), source.load, settings.model_name)

    def opener() -> Ingestor:
        return open_ingestor(settings.feature_store, repository.traffic.primary, metrics)

    features = Features(opener, DataAge(metrics), executor)
    cache: PredictionCache[Row] = PredictionCache(settings.cache_size, metrics)
    tally = Tally()
    drift = DriftWatch(metrics, shared_directory())
    observers: list[Observer] = [drift] if settings.drift_seconds else []
    journal = None
    if settings.prediction_log:
        journal = Journal(settings.prediction_log, repository.traffic.primary, metrics)
        writers.append(journal.writer)
    policy = settings.out_of_range
    service = Service(repository, metrics, tally, cache, executor, policy, features, observers, journal)
    guard = _guard(settings, metrics)
    feedback = Feedback(metrics)
    manage = Manage(repository, state, scraper(registry, tally), features, feedback, lambda: document(repository))
    router = Router(routes(_handlers(V1(service), V2(service, state), manage)))
    app = App(
        router, guard, metrics, tally, HeaderPolicy(settings.tls_cert is not None, settings.cors), settings.max_body,
        settings.body_seconds, Limits(settings.max_head, settings.head_seconds, settings.body_seconds),
        lambda: state.draining, _observers(settings, metrics, writers, closers),
    )  # fmt: skip
    repository.admit(features.check)
    repository.watch(lambda traffic: router.remember(repository.names))
    repository.watch(publish_model_info(metrics))
    repository.watch(drift.follow)
    repository.watch(feedback.follow)
    return Server(
        settings,
        state,
        repository,
        source,
        service,
        guard,
        features,
        drift,
        app,
        metrics,
        tally,
        executor,
        writers,
        closers,
    )


def _handlers(v1: V1, v2: V2, manage: Manage) -> dict[tuple[str, str], Handler]:
    """Return what answers each operation of `serving.protocol.routes`."""
    http: dict[str, Handler] = {
        "live": manage.live, "health": manage.health, "metrics": manage.metrics, "openapi": manage.openapi,
        "docs": manage.docs,
    }  # fmt: skip
    first: dict[str, Handler] = {
        "predict": v1.predict, "explain": v1.explain, "list": v1.models, "ready": v1.ready, "ingest": manage.ingest,
        "feedback": manage.feedback,
    }  # fmt: skip
    second: dict[str, Handler] = {
        "infer": v2.infer, "metadata": v2.metadata, "live": v2.live, "health": v2.ready, "list": v2.models,
        "model": v2.model, "ready": v2.model_ready, "index": manage.index, "load": manage.load, "unload": manage.unload,
    }  # fmt: skip
    tables = (("http", http), ("v1", first), ("v2", second))
    return {(protocol, verb): handler for protocol, table in tables for verb, handler in table.items()}


def _traffic(settings: Settings, source: Source) -> Traffic:
    primary = source.load()
    second = Source(settings.second, settings.trusted_key).load() if settings.second else None
    return Traffic(primary, second, settings.second_role, settings.second_share)


def open_ingestor(url: str, bundle: Bundle, metrics: Metrics) -> Ingestor:
    """Open the feature store at `url` for the raw columns of a bundle.

    Raises:
        AlmanacError: a store that cannot be opened, or a model without raw columns.
    """
    schema, entity, history = raw_schema(bundle)
    namespace = f"{bundle.use_case}:{schema.digest}"
    store = MeteredStore(open_store(url, namespace, len(schema.names), history), metrics)
    return Ingestor(store, schema, entity, metrics)


def _guard(settings: Settings, metrics: Metrics) -> Guard:
    limiter: Limiter = MemoryLimiter()
    if settings.rate_limit_store != "memory://":
        from serving.features.store.redis import connect

        limiter = RedisLimiter(connect(settings.rate_limit_store)[0])
    rate = parse_rate(settings.rate_limit) if settings.rate_limit else None
    return Guard(settings.auth, load_keys(settings.keys), rate, limiter, metrics, settings.workers)


def _observers(
    settings: Settings, metrics: Metrics, writers: list[LineWriter], closers: list[Callable[[], None]]
) -> list[Observe]:
    observers: list[Observe] = []
    if settings.access_log != "off":
        observers.append(access_log(writers[0], settings.access_log))
    if settings.audit_log is not None:
        writer, observe = audit_log(settings.audit_log, metrics)
        writers.append(writer)
        observers.append(observe)
    traced = tracing()
    if traced is not None:
        observers.append(traced[0])
        closers.append(traced[1])
    return observers
