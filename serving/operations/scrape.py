"""The scrape of one process, or of all workers added up."""

import os
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from monitoring.operations.resources import Resources, this_process, workers_of_this
from serving.runtime.batched_counters import Tally

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


def shared_directory() -> Path | None:
    """Return the directory that the workers share, None where there is one process."""
    text = os.environ.get(MULTIPROCESS)
    return Path(text) if text else None


def scraper(registry: CollectorRegistry, tally: Tally) -> Callable[[], bytes]:
    """Return what answers GET /metrics.

    With several workers each keeps its figures in a file of the directory that `MULTIPROCESS` names, and whichever
    worker is asked adds them up.
    """
    if MULTIPROCESS not in os.environ:
        registry.register(Resources(this_process))

        def alone() -> bytes:
            tally.flush()
            return generate_latest(registry)

        return alone

    def add_up() -> bytes:
        tally.flush()
        from prometheus_client.multiprocess import MultiProcessCollector

        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        together.register(Resources(workers_of_this))
        return generate_latest(together)

    return add_up
