"""What web pages, odd hosts and odd paths get from a server, over raw sockets and from a real browser."""

import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from serving.transport.web_guard import known_hosts
from tests.support.live import needs
from tests.support.server import ServerProcess, Start, as_row
from tests.support.web import Page, Web

UNLOAD, LOAD = "/v2/repository/models/pm25_6h/unload", "/v2/repository/models/pm25_6h/load"
JSON = {"content-type": "application/json"}
BROWSER = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--enable-logging=stderr", "--virtual-time-budget=10000",
]  # fmt: skip

ATTACK = """<!doctype html><title>waiting</title><script>
const post = (path, body) => fetch("URL" + path, {method: "POST", mode: "no-cors", body: body});
const rows = new Blob([JSON.stringify({observations: [{timestamp: "2015-01-01T00:00:00", pm25: 1, dewp: 1, temp: 1,
  pres: 1000, iws: 1, snow_hours: 0, rain_hours: 0, cbwd: "NW"}]})]);
Promise.allSettled([post("/v2/repository/models/pm25_6h/unload", null), post("/v1/models/air:ingest", rows)])
  .then(() => { document.title = "sent"; });
</script>"""


def raw(server: ServerProcess, request: bytes) -> int:
    """Send bytes on a connection of their own, and return the status of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(request)
        answer = b""
        while b"\r\n" not in answer and (piece := sock.recv(65536)):
            answer += piece
    return int(answer.split()[1])


def head(*lines: str, path: str = "/healthz", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], 400),
        (["Host: localhost", "Host: localhost"], 400),
        (["Host: localhost", "Host: evil.example"], 400),
        (["Host:"], 400),
        (["Host: a b"], 400),
        (["Host: user@localhost"], 400),
        (["Host: localhost/x"], 400),
        (["Host: localhost:80:80"], 400),
        (["Host: localhost:x"], 400),
        (["Host: localhost:8080"], 200),
        (["Host: [::1]:8080"], 200),
        (["Host: my_service.example"], 200),
        (["Host: localhost", "Transfer-Encoding: gzip"], 501),
        (["Host: localhost", "Transfer-Encoding: gzip, chunked"], 501),
        (["Host: localhost", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
        (["Host: localhost", "Transfer-Encoding: identity"], 501),
    ],
)
def test_a_host_is_one_and_a_coding_is_chunked(server: ServerProcess, lines: list[str], status: int) -> None:
    assert raw(server, head(*lines)) == status
    # A request that would take the fast path is judged alike.
    if "Transfer-Encoding" not in "".join(lines):
        posted = raw(server, head(*lines, "Content-Length: 2", path="/v1/models/air:predict", method="POST") + b"{}")
        assert posted == 400
    assert raw(server, head("Host: localhost")) == 200


def test_http_1_0_needs_no_host(server: ServerProcess) -> None:
    assert raw(server, b"GET /healthz HTTP/1.0\r\n\r\n") == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/pm25_1h", 200),
        ("/v2/models/pm25%5F1h", 200),
        ("/v2%2Fmodels/pm25_1h", 404),
        ("/v2/models%2fpm25_1h", 404),
        ("/v2/models/pm25_1h%2Fready", 404),
        ("/v2/models/pm25_1h%252Fready", 404),
        ("/v1/models/pm25_1h%3Apredict", 405),
    ],
)
def test_an_escaped_slash_divides_nothing(server: ServerProcess, path: str, status: int) -> None:
    assert raw(server, head("Host: localhost", path=path)) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example"}, 421),
        # By DNS rebinding a page has the server's own origin, under a name that the server does not know.
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),
        ({"host": "localhost", "origin": "http://localhost"}, 403),
    ],
)
def test_what_changes_state_asks_origin_and_host(server: ServerProcess, headers: dict[str, str], status: int) -> None:
    assert server.post(LOAD, b"", headers).status == status
    observed = server.post("/v1/models/air:ingest", {"observations": []}, headers).status
    assert observed == (400 if status == 200 else status)


def test_what_changes_state_asks_the_type_of_its_body(server: ServerProcess) -> None:
    body = b'{"observations": []}'
    for lines, status in ([], 415), (["Content-Type: text/plain"], 415), (["Content-Type: application/json"], 400):
        length = f"Content-Length: {len(body)}"
        asked = head("Host: localhost", length, *lines, path="/v1/models/air:ingest", method="POST")
        assert raw(server, asked + body) == status
    assert raw(server, head("Host: localhost", "Content-Length: 0", path=LOAD, method="POST")) == 200


def test_a_page_of_the_same_origin_may_predict(server: ServerProcess, feature_rows: np.ndarray) -> None:
    body, path = {"instances": [as_row(feature_rows[0])]}, "/v1/models/pm25_1h:predict"
    assert server.post(path, body, {"origin": server.url}).status == 200
    assert server.post(path, body, {"origin": "http://evil.example"}).status == 403


def test_allowed_origins_and_hosts_may_change_state(start: Start) -> None:
    server = start("--cors", "https://ours.example", "--allowed-host", "proxy.example")
    assert server.post(LOAD, b"", {"origin": "https://ours.example", "host": "proxy.example"}).status == 200
    assert server.post(LOAD, b"", {"origin": "https://ours.example", "host": "localhost"}).status == 421


@pytest.mark.parametrize(
    ("listening", "known"),
    [("127.0.0.1", True), ("127.0.0.2", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)],
)
def test_only_a_server_of_this_machine_knows_its_names(listening: str, known: bool) -> None:
    assert ("localhost" in known_hosts(listening, ())) == known


def browse(url: str) -> subprocess.CompletedProcess[str]:
    command = [*BROWSER, "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


@needs("chromium")
def test_a_page_of_another_origin_changes_nothing(start: Start, tmp_path: Path) -> None:
    server, open_one = start(), None
    with Web({"/": Page(b"", kind="text/html")}) as web:
        # The same page can do it where its origin is allowed, so that the attack is a real one.
        open_one = start("--cors", web.url)
        for attacked, ready in (open_one, 503), (server, 200):
            web.pages["/"] = Page(ATTACK.replace("URL", attacked.url).encode(), kind="text/html")
            assert "<title>sent</title>" in browse(f"{web.url}/").stdout
            assert attacked.get("/v2/models/pm25_6h/ready").status == ready
        metrics = server.get("/metrics").body.decode()
    assert "almanac_ingested_rows_total{" not in metrics
    assert 'almanac_requests_total{code="403",model="",protocol="v2",verb="unload",version=""} 1.0' in metrics


@needs("chromium")
def test_the_page_of_the_documentation_works_under_its_own_policy(server: ServerProcess) -> None:
    done = browse(f"{server.url}/docs")
    assert "<td><code>/v2/repository/index</code></td>" in done.stdout
    assert "Content Security Policy" not in done.stderr
    assert "violates" not in done.stderr
