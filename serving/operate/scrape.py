"""The scrape of one process, or of all workers added up."""

import os
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


def shared_directory() -> Path | None:
    """Return the directory that the workers share, None where there is one process."""
    text = os.environ.get(MULTIPROCESS)
    return Path(text) if text else None


def scraper(registry: CollectorRegistry) -> Callable[[], bytes]:
    """Return what answers GET /metrics.

    With several workers each keeps its figures in a file of the directory that `MULTIPROCESS` names, and whichever
    worker is asked adds them up.
    """
    if MULTIPROCESS not in os.environ:
        return lambda: generate_latest(registry)

    def add_up() -> bytes:
        from prometheus_client.multiprocess import MultiProcessCollector

        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    return add_up
