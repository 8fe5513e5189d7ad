"""What is one request and what is not, however its bytes are cut, and how much and how slowly a client may send."""

import asyncio
import http.client
import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import requests
import uvicorn
import uvloop
from prometheus_client import CollectorRegistry
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from monitoring.metrics import Metrics
from serving.protocol.message import json_reply
from serving.protocol.router import Route, Router
from serving.runtime.batched_counters import BatchedCounters
from serving.runtime.http import Reply, Request
from serving.security.guard import Guard
from serving.security.keys import KeyRing
from serving.security.limits import MemoryLimiter
from serving.transport.app import App
from serving.transport.headers import HeaderPolicy
from serving.transport.limits import Limits
from serving.transport.uvicorn_http import Protocol
from serving.transport.uvicorn_http.request_limits import FramedProtocol
from tests.support.server import ServerProcess, Start, as_row

PREDICT = "/v1/models/pm25_1h:predict"
ECHO, LATE, UNLOAD = b"/echo", b"/late", b"/unload"
MARK = b"GET /mark HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def echo(request: Request) -> Reply:
    """Answer with what was asked."""
    return json_reply([request.path, request.body.decode("latin-1")])


async def late(request: Request) -> Reply:
    """Answer after others had their turn."""
    for _ in range(3):
        await asyncio.sleep(0)
    return await echo(request)


class Talk(NamedTuple):
    """What came of a conversation: the answers, and what the application was asked."""

    answers: list[tuple[int, bytes]]
    asked: list[tuple[str, bytes]]


class Room:
    """The application behind one protocol class, over real sockets, whose bytes arrive cut as told."""

    def __init__(self, kind: type[HttpToolsProtocol]) -> None:
        self.asked: list[tuple[str, bytes]] = []
        metrics = Metrics(CollectorRegistry())
        routes = [
            Route("POST", "/echo", echo, "echo", None, "http"),
            Route("POST", "/late", late, "late", None, "http"),
            Route("POST", "/unload", echo, "unload", None, "http"),
            Route("GET", "/mark", echo, "mark", None, "http"),
        ]
        self.app = App(
            Router(routes), Guard("off", KeyRing(), {}, MemoryLimiter(), metrics), metrics, BatchedCounters(),
            HeaderPolicy(False, ()), Limits(4096, 5.0, 5.0, 1000, 5.0), lambda: False, [self._see],
        )  # fmt: skip
        self.config = uvicorn.Config(
            self.app, http=kind, ws="none", loop="none", lifespan="off", log_config=None, proxy_headers=False
        )
        self.config.load()
        received = [0]

        class Counting(kind):  # type: ignore[misc, valid-type]
            def data_received(self, data: bytes) -> None:
                received[0] += len(data)
                super().data_received(data)

        self.kind, self.received = Counting, received

    def _see(self, request: Request, reply: Reply, protocol: str, seconds: float) -> None:
        if reply.status == OK:
            self.asked.append((request.path, request.body))

    async def converse(self, *pieces: bytes) -> Talk:
        """Send the pieces, each once the one before has arrived; return when the server has closed."""
        loop = asyncio.get_running_loop()
        self.asked.clear()
        self.received[0] = sent = 0
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        made: Any = self.kind(config=self.config, server_state=ServerState(), app_state={}, _loop=loop)
        transport, _ = await loop.connect_accepted_socket(lambda: made, theirs)
        answer = b""
        try:
            for piece in pieces:
                await loop.sock_sendall(ours, piece)
                sent += len(piece)
                while self.received[0] < sent and not transport.is_closing():
                    await asyncio.sleep(0)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            async with asyncio.timeout(10):
                while part := await loop.sock_recv(ours, 1 << 16):
                    answer += part
        except ConnectionResetError:
            pass
        finally:
            ours.close()
            transport.close()
            await asyncio.sleep(0)
        return Talk(parse_answers(answer), list(self.asked))


def parse_answers(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        match = re.search(rb"content-length: (\d+)", head)
        assert match is not None, head
        length = int(match[1])
        found.append((int(head.split()[1]), re.sub(rb"id [0-9a-f]+", b"id", data[:length])))
        data = data[length:]
    return found


def post(path: bytes, body: bytes = b"", *lines: bytes) -> bytes:
    head = [b"POST %b HTTP/1.1" % path, b"Host: a", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunked(path: bytes, *parts: bytes, trailer: bytes = b"") -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % path
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


HIDDEN = post(UNLOAD)
UPGRADE = (b"Connection: upgrade", b"Upgrade: h2c")
OK, BAD = 200, 400
SCRIPTS: dict[str, tuple[bytes, list[int]]] = {
    "a request in a header": (b"POST /echo HTTP/1.1\r\nX-Note: see " + HIDDEN, [OK, OK]),
    "a request in a body": (post(ECHO, HIDDEN) + post(ECHO, b"2"), [OK, OK, OK]),
    "a request in a body that waits": (post(LATE, HIDDEN) + post(LATE, b"2") + post(ECHO, b"3"), [OK, OK, OK, OK]),
    "a request in a body that nobody reads": (post(b"/nowhere", HIDDEN) + post(ECHO, b"2"), [404, OK, OK]),
    "a request in a body that is too large": (post(ECHO, HIDDEN * 30)[:400] + HIDDEN, [413]),
    "a request in a chunk": (chunked(ECHO, b"x", HIDDEN) + post(ECHO, b"2"), [OK, OK, OK]),
    "a request in a chunk that nobody reads": (chunked(b"/nowhere", b"x", HIDDEN) + post(ECHO, b"2"), [404, OK, OK]),
    "a request in a trailer": (
        chunked(ECHO, b"x", trailer=b"X-Note: see POST /unload HTTP/1.1\r\n") + post(ECHO, b"2"),
        [OK, OK, OK],
    ),
    "a request in a chunk's extension": (
        chunked(ECHO, b"abc").replace(b"\r\n3\r\n", b'\r\n3;x="POST /unload"\r\n') + post(ECHO),
        [OK, OK, OK],
    ),
    "several requests": (
        post(ECHO, b"1") + post(LATE, b"2") + post(ECHO, b"3") + chunked(LATE, b"4") + post(ECHO, b"5"),
        [OK] * 6,
    ),
    "empty lines between": (b"\r\n" + post(ECHO, b"1") + b"\r\n\r\n" + post(ECHO, b"2"), [OK, OK, OK]),
    "a request behind the last": (post(ECHO, b"1", b"Connection: close") + HIDDEN, [OK]),
    "another protocol is asked for": (post(ECHO, b"", *UPGRADE) + post(ECHO, b"2"), [OK, OK, OK]),
    "a request in a body of another protocol": (post(ECHO, HIDDEN, *UPGRADE), [BAD]),
    "a request in chunks of another protocol": (
        chunked(ECHO, HIDDEN).replace(b"Host: a\r\n", b"Host: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n", 1),
        [BAD],
    ),
    "a tunnel": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, [BAD]),
    "a request in a target": (b"GET /" + HIDDEN, [BAD]),
    "two lengths": (post(ECHO, HIDDEN, b"Content-Length: 0"), [BAD]),
    "a length and chunks": (post(ECHO, b"0\r\n\r\n" + HIDDEN, b"Transfer-Encoding: chunked"), [BAD]),
    "no request": (b"\x16\x03\x01" + HIDDEN, [BAD]),
    "a broken chunk": (chunked(ECHO, b"abc").replace(b"3\r\n", b"z\r\n") + HIDDEN, [BAD]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_cut_makes_another_request(name: str) -> None:
    """Cut at every byte, the short way answers as the parser does that sees the bytes at once."""
    script, statuses = SCRIPTS[name]
    cuts = [[script[:at], script[at:]] for at in range(len(script))]
    cuts += [[script[at : at + 1] for at in range(len(script))], [*re.split(b"(%b)" % re.escape(HIDDEN), script)]]

    async def run() -> None:
        plain, short = Room(FramedProtocol), Room(Protocol)
        whole = await plain.converse(script + MARK)
        assert [status for status, _ in whole.answers] == statuses
        assert "/unload" not in [path for path, _ in whole.asked]
        for pieces in cuts:
            for room in (plain, short):
                assert await room.converse(*filter(None, pieces), MARK) == whole, (room.kind, pieces)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def talk(kind: type[HttpToolsProtocol], *pieces: bytes) -> Talk:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Room(kind).converse(*pieces))


@pytest.mark.parametrize(
    "name", [name for name, (_, statuses) in SCRIPTS.items() if statuses[-2:] == [OK, OK] and "another" not in name]
)
def test_the_answers_are_those_of_uvicorn(name: str) -> None:
    """Bounds and boundaries change nothing about requests that keep to them."""
    script = SCRIPTS[name][0] + MARK
    assert talk(Protocol, script) == talk(HttpToolsProtocol, script)


def test_what_is_no_request_is_not_answered_before_the_request_ahead_of_it() -> None:
    ahead, behind = post(LATE, b"1"), b"\x16\x03\x01" + HIDDEN
    assert talk(Protocol, ahead + behind + HIDDEN) == ([(OK, b'["/late","1"]')], [("/late", b"1")])
    assert talk(Protocol, b"\r\n" + ahead + post(LATE, b"2") + behind).asked == [("/late", b"1"), ("/late", b"2")]
    broken = chunked(LATE, b"2").replace(b"1\r\n2", b"z\r\n2")
    assert talk(Protocol, b"\r\n" + ahead + broken + HIDDEN) == ([(OK, b'["/late","1"]')], [("/late", b"1")])


@pytest.mark.parametrize(
    "script",
    [
        b"POST /echo HTTP/1.1\r\nX-Long: " + b"x" * 8000 + HIDDEN,
        b"POST /" + b"x" * 8000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % at for at in range(500)) + b"Host: a\r\n\r\n",
        chunked(ECHO, b"abc", trailer=b"X-Long: " + b"x" * 8000 + b"\r\n"),
        chunked(ECHO, b"abc", trailer=b"".join(b"X-%d: POST /unload\r\n" % at for at in range(300))),
        chunked(ECHO, b"abc").replace(b"3\r\n", b"3;" + b"x" * 20000 + b"\r\n"),
    ],
    ids=["header", "target", "headers", "trailer", "trailers", "extension"],
)
def test_a_head_has_a_size(script: bytes) -> None:
    for size in (1, 100, 1000, 5000):
        pieces = [script[at : at + size] for at in range(0, len(script), size)]
        found = talk(Protocol, *pieces)
        assert ([status for status, _ in found.answers], found.asked) == ([431], [])
        assert b"above the limit of 4096 bytes" in found.answers[0][1]


def test_a_head_of_the_size_is_read() -> None:
    script = post(ECHO, b"1", b"X-Long: " + b"x" * 3900)
    for cut in (0, 10, 4000):
        assert talk(Protocol, script[:cut], script[cut:] + MARK).asked == [("/echo", b"1"), ("/mark", b"")]


def test_a_head_has_a_time(start: Start) -> None:
    server = start("--head-seconds", "0.4")
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(post(b"/v2/nowhere"))
        assert sock.recv(4096).startswith(b"HTTP/1.1 404")
        for byte in b"POST /v1/models/pm25":
            begun = time.monotonic()
            try:
                sock.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.05)
        answer = sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "the head did not arrive within 0.4 s"
        assert sock.recv(4096) == b""
        assert time.monotonic() - begun < 3
    assert 'code="408"' in server.get("/metrics").body.decode()


def test_a_flood_of_headers_is_refused(server: ServerProcess) -> None:
    lines = b"".join(b"x-h%05d: " % at + b"v" * 1000 + b"\r\n" for at in range(1000))
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(b"POST %b HTTP/1.1\r\nHost: a\r\n" % PREDICT.encode())
        sock.sendall(lines)
        answer = sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 431")
        assert "above the limit of 65536 bytes" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        with pytest.raises(OSError, match=r"(?i)pipe|reset"):
            for _ in range(1000):
                sock.sendall(lines)


class Asked(NamedTuple):
    """What a client was answered."""

    status: int
    error: str


JSON = {"content-type": "application/json"}


def by_urllib(url: str, body: bytes, certificate: Path) -> Asked:
    context = ssl.create_default_context(cafile=certificate) if url.startswith("https") else None
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(urllib.request.Request(url, data=body, headers=JSON), timeout=20, context=context)
    with raised.value as answer:
        return Asked(answer.code, json.loads(answer.read())["error"])


def by_http_client(url: str, body: bytes, certificate: Path) -> Asked:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=20)
    if place.scheme == "https":
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection(place.netloc, timeout=20, context=context)
    try:
        connection.request("POST", place.path, body, JSON)
        answer = connection.getresponse()
        return Asked(answer.status, json.loads(answer.read())["error"])
    finally:
        connection.close()


def by_requests(url: str, body: bytes, certificate: Path) -> Asked:
    answer = requests.post(url, data=body, headers=JSON, timeout=20, verify=str(certificate))
    return Asked(answer.status_code, answer.json()["error"])


def by_httpx(url: str, body: bytes, certificate: Path) -> Asked:
    context = ssl.create_default_context(cafile=certificate)
    answer = httpx.post(url, content=body, headers=JSON, timeout=20, verify=context)
    return Asked(answer.status_code, answer.json()["error"])


@pytest.mark.parametrize("tls", [False, True])
def test_a_refused_body_has_its_answer(start: Start, tls_files: tuple[Path, Path], tls: bool) -> None:
    """Clients that read nothing before they have sent everything get the answer, and not a reset connection."""
    server = start(tls=tls_files if tls else None)
    for ask in (by_urllib, by_http_client, by_requests, by_httpx):
        for megabytes in (17, 20, 64):
            size = megabytes << 20
            error = f"body of {size} bytes is above the limit of {16 << 20} bytes"
            assert ask(server.url + PREDICT, b" " * size, tls_files[0]) == (413, error), ask
        assert ask(server.url + "/v1/nowhere", b" " * (8 << 20), tls_files[0]).status == 404


def test_what_is_thrown_away_has_an_end(start: Start) -> None:
    """Neither the bytes nor the seconds in which a client sends behind its answer are without bounds."""
    server = start("--body-seconds", "0.5")
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n" % PREDICT.encode()
    for more in (b"", b"Connection: close\r\n"):
        for path in (head, head.replace(b"/v1/models", b"/nowhere")):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
                sock.sendall(path + more + b"\r\n")
                assert sock.recv(4096).split()[1] in (b"413", b"404")
                begun = time.monotonic()
                with pytest.raises(OSError, match=r"(?i)pipe|reset"):
                    while time.monotonic() < begun + 5:
                        sock.sendall(b" ")
                        time.sleep(0.05)
                assert time.monotonic() - begun < 3
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
                sock.sendall(path + more + b"\r\n")
                with pytest.raises(OSError, match=r"(?i)pipe|reset"):
                    for _ in range(200):
                        sock.sendall(b" " * (1 << 20))


def test_a_connection_goes_on_behind_a_refused_body(server: ServerProcess, feature_rows: np.ndarray) -> None:
    body = json.dumps({"instances": [as_row(feature_rows[0])]})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for path, size, status in (("/v1/nowhere", 4 << 20, 404), (PREDICT, 0, 200), ("/v1/nowhere", 300, 404)):
        connection.request("POST", path, " " * size if size else body, JSON)
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, connection.sock is not None) == (status, True)
    connection.close()
