"""The scrape of one process, or of all workers added up; and the metrics of the loaded models."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from almanac.core.files import read_json
from almanac.model.engine import library_failures
from monitoring.metrics import MODEL_INFO, MODEL_LOADED, NATIVE_LIBRARY, USE_CASE_READY, WORKER_STARTS, Metrics
from monitoring.operations.resources import Resources, this_process, workers_of_this
from serving.prediction.traffic import Traffic, Watcher
from serving.runtime.batched_counters import BatchedCounters

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
#: Why a supervisor starts workers: at its own start, for one that ended, and to replace them one by one.
START_REASONS = ("start", "ended", "roll")
#: File in the shared directory with the number of starts by reason.
STARTS_FILE = "starts.json"


def shared_directory() -> Path | None:
    """Return the directory that the workers share, None with one process."""
    text = os.environ.get(MULTIPROCESS)
    return Path(text) if text else None


def scraper(registry: CollectorRegistry, counters: BatchedCounters) -> Callable[[], bytes]:
    """Return the function that answers GET /metrics.

    Each of several workers keeps its metrics in a file of the shared directory, and the worker that is asked adds them
    up.
    """
    if shared_directory() is None:
        registry.register(Resources(this_process))

        def one_process() -> bytes:
            counters.flush()
            return generate_latest(registry)

        return one_process

    def all_workers() -> bytes:
        counters.flush()
        # Imported here: on import it fixes how every metric stores its value.
        from prometheus_client.multiprocess import MultiProcessCollector

        total = CollectorRegistry()
        MultiProcessCollector(total)  # type: ignore[no-untyped-call]
        total.register(Resources(workers_of_this))
        total.register(WorkerStarts())
        return generate_latest(total)

    return all_workers


class WorkerStarts(Collector):
    """Collects the numbers of started workers, which the supervisor writes."""

    def collect(self) -> Iterator[Metric]:
        """Yield the counter."""
        directory = shared_directory()
        if directory is None or not (directory / STARTS_FILE).exists():
            return
        family = CounterMetricFamily(WORKER_STARTS.name, WORKER_STARTS.help, labels=WORKER_STARTS.labels)
        for reason, count in read_json(directory / STARTS_FILE).items():
            family.add_metric([reason], count)
        yield family


def publish_libraries(metrics: Metrics) -> None:
    """Update the metric of compiled libraries: those that were asked for, and whether they run."""
    for library, failure in library_failures().items():
        metrics.gauge(NATIVE_LIBRARY).labels(library).set(0 if failure else 1)


def publish_model_info(metrics: Metrics) -> Watcher:
    """Return the function that updates the model metrics when the traffic changes."""
    all_shown: dict[str, set[tuple[str, ...]]] = {}

    def publish(use_case: str, traffic: Traffic | None) -> None:
        gauge, shown = metrics.gauge(MODEL_INFO), all_shown.setdefault(use_case, set())
        metrics.gauge(USE_CASE_READY).labels(use_case).set(0 if traffic is None else 1)
        roles = []
        if traffic is not None:
            roles = [(traffic.primary, "primary"), *([(traffic.second, traffic.role)] if traffic.second else [])]
        now = {
            (target.name, target.version, target.digest, bundle.use_case, target.name, role)
            for bundle, role in roles
            for target in bundle.targets.values()
        }
        # Prometheus keeps the last value of a series that disappears; 0 ends the earlier version.
        for labels in shown - now:
            gauge.labels(*labels).set(0)
        for labels in now:
            gauge.labels(*labels).set(1)
        for name in traffic.primary.targets if traffic else ():
            metrics.gauge(MODEL_LOADED).labels(name).set(time.time())
        shown.update(now)

    return publish
