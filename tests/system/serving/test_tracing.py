"""Spans arrive at an OTLP endpoint and continue the client's trace."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from tests.support.background import in_background
from tests.support.server import Start, as_row, wait_for


class _Collector(HTTPServer):
    """An OTLP/HTTP endpoint that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[tuple[str, bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Collector

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        self.server.bodies.append((self.path, self.rfile.read(length)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def collector() -> Iterator[_Collector]:
    server = _Collector()
    with in_background(server):
        yield server


def test_a_request_becomes_a_span(start: Start, collector: _Collector, feature_rows: np.ndarray) -> None:
    url = f"http://127.0.0.1:{collector.server_port}"
    server = start(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"})
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    body = {"instances": [as_row(feature_rows[0])]}
    assert server.post("/v1/models/pm25_1h:predict", body, headers).status == 200
    server.stop()
    wait_for(lambda: collector.bodies)
    paths = {path for path, _ in collector.bodies}
    sent = b"".join(data for _, data in collector.bodies)
    assert paths == {"/v1/traces"}
    assert bytes.fromhex(trace) in sent
    assert b"v1 predict" in sent
    assert b"pm25_lag" not in sent
