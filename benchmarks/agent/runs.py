"""Evidence of failed runs: the project's own messages where a source cannot be reached, or is another file."""

import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from almanac.core.errors import SourceError
from almanac.data.cache import Cache
from almanac.data.fetch import fetch
from almanac.data.sources import FetchContext, RetryPolicy
from almanac.usecase import load_text
from benchmarks.agent.series import Example
from operations.agent.evidence import Evidence
from operations.agent.evidence.failures import failure_figures
from operations.agent.redaction import without_secrets

#: Fault -> the cause that is right.
FAULTS = {"source unreachable": "upstream", "source's file altered": "source_broken"}


def failed_runs(usecase: Path) -> Iterator[Example]:
    """Yield the evidence of each kind of failed ingestion, by a use case file."""
    with TemporaryDirectory() as folder, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (Path(folder) / "table.csv").write_text("timestamp,value\n2026-01-01,1\n")
        # Bound and not listening: a connection is refused, as by a host whose service is down.
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/table.csv"
        sources: dict[str, dict[str, Any]] = {
            "source unreachable": {"type": "http", "mirrors": [{"url": address}]},
            "source's file altered": {"type": "file", "path": "table.csv", "sha256": "0" * 64},
        }
        for fault, source in sources.items():
            message = _message(usecase, source, Path(folder))
            evidence = Evidence("RunFailed", failure_figures("ingestion", without_secrets(message)))
            yield Example(fault, FAULTS[fault], datetime(2026, 1, 1), evidence)


def _message(path: Path, source: dict[str, Any], folder: Path) -> str:
    document = yaml.safe_load(path.read_text())
    plain = {"name": "table", "title": "A table", "licence": "CC0", "read": {"time": {"column": "timestamp"}}}
    document["sources"] = [plain | source]
    (declared,) = load_text(yaml.safe_dump(document), "the benchmark").sources
    try:
        fetch(declared, FetchContext(folder, Cache(folder / "cache"), RetryPolicy(1)))
    except SourceError as error:
        return str(error)
    raise AssertionError("the source was fetched")
