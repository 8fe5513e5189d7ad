"""Export of pipeline metrics to Prometheus: text files, an exporter of them, or a Pushgateway.

    almanac push runs/<use case>/latest --to figures/
    almanac push registry:<use case>/production --to http://pushgateway:9091
    almanac exporter figures/ --port 9108

A file holds one group, such as the drift of a use case, and writing it again replaces the group. Several pipelines
therefore never undo each other's metrics, and a restart of the exporter loses nothing.
"""

import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from almanac.core.errors import MetricError
from almanac.core.files import write_bytes
from monitoring.operations import runbooks
from monitoring.operations.samples import Sample

JOB = "almanac-pipelines"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_HTML = "text/html; charset=utf-8"


class _Samples(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for sample in self._samples:
            metric = sample.metric
            family = families.setdefault(metric.name, GaugeMetricFamily(metric.name, metric.help, labels=metric.labels))
            family.add_metric(sample.labels, sample.value)
        yield from families.values()


class _Files(Collector):
    """The files of a directory, one family where several files have the same metric."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for path in sorted(self._directory.glob("*.prom")):
            for part in text_string_to_metric_families(path.read_text()):
                families.setdefault(part.name, Metric(part.name, part.documentation, part.type))
                families[part.name].samples.extend(part.samples)
        yield from families.values()


def text(samples: Iterable[Sample]) -> bytes:
    """Return samples in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Samples(samples))
    return generate_latest(registry)


def push(samples: Iterable[Sample], to: str, group: str) -> None:
    """Replace the samples of a group.

    Args:
        samples: of the group.
        to: a directory that an exporter reads, or the URL of a Pushgateway.
        group: name of the group, such as `demand-drift`.

    Raises:
        MetricError: no samples, a group that cannot be a file name, or a gateway that does not take them.
    """
    samples = list(samples)
    if not samples:
        raise MetricError(f"{group}: no figures to push")
    # A group becomes a file name in the exporter's directory.
    if not group or set(group) & set("/\\\0") or group.startswith("."):
        raise MetricError(f"group {group!r}: expected a plain name, such as demand-drift")
    if to.startswith(("http://", "https://")):
        _put(f"{to.rstrip('/')}/metrics/job/{JOB}/group/{quote(group)}", text(samples))
    else:
        write_bytes(Path(to) / f"{group}.prom", text(samples))


def _put(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"content-type": _TEXT}, method="PUT")  # noqa: S310  (http or https)
    try:
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            return
    except urllib.error.HTTPError as error:
        # The gateway's body says which sample it refused.
        with error:
            detail = error.read(500).decode(errors="replace").strip()
        raise MetricError(f"{url} refused the figures: {error.code} {detail}") from error
    except OSError as error:
        raise MetricError(f"{url} cannot be reached: {error}") from error


def exporter(directory: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Return an HTTP server of GET /metrics, the samples in the files of a directory, and of GET /runbooks.

    Raises:
        MetricError: no such directory, or an address that cannot be listened on.
    """
    if not directory.is_dir():
        raise MetricError(f"{directory}: no such directory; `almanac push` writes there")
    registry = CollectorRegistry()
    registry.register(_Files(directory))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Beside the metrics, as alerts need an address that opens wherever they are scraped from.
            if self.path == "/runbooks":
                return self._answer(200, runbooks.page().encode(), _HTML)
            if self.path != "/metrics":
                return self._answer(404, b"only /metrics and /runbooks are served\n")
            try:
                self._answer(200, generate_latest(registry))
            except (OSError, ValueError) as error:
                self._answer(500, f"{directory}: {error}\n".encode())

        def _answer(self, status: int, body: bytes, kind: str = _TEXT) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing: a scrape is not worth a line."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise MetricError(f"{host}:{port}: {error.strerror}") from error
