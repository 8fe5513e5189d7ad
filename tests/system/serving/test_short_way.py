"""However the bytes of requests arrive, whole, in pieces or several at once, the answers are the same and in order."""

import json
import re
import socket
import time
from io import BufferedReader
from pathlib import Path

import numpy as np
import pytest

from serving.security.keys import changing
from serving.transport.fast_path import HeadCache, parse
from tests.support.server import ServerProcess, Start, as_row, wait_for

PREDICT, EXPLAIN = "/v1/models/pm25_1h:predict", "/v1/models/pm25_1h:explain"


def request(path: str, body: bytes, *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: almanac", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def rows(feature_rows: np.ndarray, *which: int) -> bytes:
    return json.dumps({"instances": [as_row(feature_rows[at]) for at in which]}).encode()


def converse(port: int, *pieces: bytes, answers: int, pause: float = 0.02) -> list[tuple[int, dict[str, str], bytes]]:
    """Send the pieces one by one and return status, headers and body of so many answers."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        stream = connection.makefile("rb")
        return [_answer(stream) for _ in range(answers)]


def _answer(stream: BufferedReader) -> tuple[int, dict[str, str], bytes]:
    status = int(stream.readline().split()[1])
    headers: dict[str, str] = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, stream.read(int(headers["content-length"]))


def comparable(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = answer
    return status, {name: value for name, value in headers.items() if name not in ("date", "x-request-id")}, body


@pytest.mark.parametrize("path", [PREDICT, EXPLAIN, "/v1/models/nobody:predict", "/v1/models/pm25_1h:ingest"])
def test_pieces_are_answered_as_the_whole(server: ServerProcess, feature_rows: np.ndarray, path: str) -> None:
    data = request(path, rows(feature_rows, 3))
    (whole,) = converse(server.port, data, answers=1)
    for cut in (
        1,
        17,
        data.index(b"\r\n\r\n"),
        data.index(b"\r\n\r\n") + 2,
        data.index(b"\r\n\r\n") + 4,
        len(data) - 1,
    ):
        (pieces,) = converse(server.port, data[:cut], data[cut:], answers=1)
        assert comparable(pieces) == comparable(whole)


def test_several_requests_at_once_are_answered_in_order(server: ServerProcess, feature_rows: np.ndarray) -> None:
    datas = [request(PREDICT, rows(feature_rows, at)) for at in range(6)]
    apart = [converse(server.port, data, answers=1)[0][2] for data in datas]
    assert [answer[2] for answer in converse(server.port, b"".join(datas), answers=6)] == apart
    assert [answer[2] for answer in converse(server.port, *datas, answers=6, pause=0.0)] == apart
    assert len(set(apart)) == 6


def test_a_request_behind_one_that_waits_comes_after_it(server: ServerProcess, feature_rows: np.ndarray) -> None:
    slow = request(EXPLAIN, rows(feature_rows, *range(400)))
    quick = [request(PREDICT, rows(feature_rows, at)) for at in (1, 2)]
    first, second, third = converse(server.port, slow, *quick, answers=3, pause=0.001)
    assert len(json.loads(first[2])["explanations"]) == 400
    for answer, data in ((second, quick[0]), (third, quick[1])):
        assert answer[2] == converse(server.port, data, answers=1)[0][2]


def test_request_ids_are_given_back_and_made(server: ServerProcess, feature_rows: np.ndarray) -> None:
    data = rows(feature_rows, 5)
    mine, bad, none = (
        request(PREDICT, data, "X-Request-Id: my-own.1"),
        request(PREDICT, data, "X-Request-Id: not an id"),
        request(PREDICT, data),
    )
    found = [converse(server.port, each, answers=1)[0][1]["x-request-id"] for each in (mine, bad, none, none)]
    assert found[0] == "my-own.1"
    assert all(re.fullmatch("[0-9a-f]{16}", given) for given in found[1:])
    assert len(set(found)) == 4


def test_a_client_that_leaves_harms_nobody(server: ServerProcess, feature_rows: np.ndarray) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(request(EXPLAIN, rows(feature_rows, *range(200))))
    (answer,) = converse(server.port, request(PREDICT, rows(feature_rows, 1)), answers=1)
    assert answer[0] == 200
    wait_for(lambda: b"almanac_requests_in_flight 0.0" in server.get("/metrics").body.replace(b" 1.0", b" 0.0"))


def test_an_idle_connection_stays_open_between_requests(start: Start, feature_rows: np.ndarray) -> None:
    data = request(PREDICT, rows(feature_rows, 1))
    answers = converse(start().port, data, data, data, answers=3, pause=0.4)
    assert [answer[0] for answer in answers] == [200, 200, 200]


def test_a_head_that_was_admitted_is_refused_once_its_key_is(
    start: Start, tmp_path: Path, feature_rows: np.ndarray
) -> None:
    path = tmp_path / "keys.json"
    with changing(path) as ring:
        key, text = ring.create("test", ("predict",))
        _, slow = ring.create("slow", ("predict",), rate="3/h")
    server = start("--auth", "required", "--keys", str(path))

    def ask(stream: BufferedReader, connection: socket.socket, sent: str) -> tuple[int, dict[str, str], bytes]:
        connection.sendall(request(PREDICT, rows(feature_rows, 1), f"X-API-Key: {sent}"))
        return _answer(stream)

    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        stream = connection.makefile("rb")
        assert [ask(stream, connection, text)[0] for _ in range(3)] == [200, 200, 200]
        limited = [ask(stream, connection, slow) for _ in range(4)]
        assert [answer[0] for answer in limited] == [200, 200, 200, 429]
        assert [answer[1]["x-ratelimit-remaining"] for answer in limited] == ["2", "1", "0", "0"]
        assert "retry-after" in limited[-1][1]
        with changing(path) as ring:
            ring.revoke(key.id)
        wait_for(lambda: ask(stream, connection, text)[0] == 401, pause=0.5)
        assert ask(stream, connection, text)[0] == 401


USUAL = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 12"


def test_a_usual_head_is_read() -> None:
    head = HeadCache().read(USUAL + b"\r\nX-API-Key:  k \r\nContent-Type: application/json\r\nConnection: Keep-Alive")
    assert head is not None
    assert (head.path, head.length) == ("/v1/models/m:predict", 12)
    read = {b"host": b"a", b"content-length": b"12", b"x-api-key": b"k", b"content-type": b"application/json"}
    assert head.headers == read


@pytest.mark.parametrize(
    "head",
    [
        USUAL.replace(b"POST", b"GET"),
        USUAL.replace(b"1.1", b"1.0"),
        USUAL.replace(b"/v1", b"/v1?x=1"),
        USUAL.replace(b"/v1", b"/%76%31"),
        USUAL.replace(b"/v1", b"http://a/v1"),
        USUAL.replace(b"12", b"-1"),
        USUAL.replace(b"12", b"12 13"),
        USUAL.replace(b"\r\nHost: a", b""),
        USUAL.replace(b"\r\nContent-Length: 12", b""),
        USUAL + b"\r\nContent-Length: 12",
        USUAL + b"\r\nContent-Length: 13",
        USUAL + b"\r\nTransfer-Encoding: chunked",
        USUAL + b"\r\nExpect: 100-continue",
        USUAL + b"\r\nConnection: close",
        USUAL + b"\r\nConnection: upgrade\r\nUpgrade: websocket",
        USUAL + b"\r\n folded",
        USUAL + b"\r\nName : value",
        USUAL + b"\r\nName: a\nb",
        USUAL + b"\r\nName: a\x00b",
        USUAL + b"\r\n: value",
    ],
)
def test_an_unusual_head_takes_the_long_way(head: bytes) -> None:
    assert parse(head) is None


def test_heads_are_forgotten_before_they_fill_the_memory() -> None:
    heads = HeadCache()
    for number in range(2000):
        assert heads.read(USUAL + b"\r\nX-Number: %d" % number) is not None
    assert len(heads._heads) <= 256
    assert heads.read(USUAL + b"\r\nX-Long: " + b"x" * 5000) is None


def test_a_tail_that_looks_like_a_request_is_none(start: Start) -> None:
    server = start()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nX-Note: see ".encode()
    (answer,) = converse(server.port, head, request("/v2/repository/models/pm25_6h/unload", b""), answers=1)
    assert answer[0] == 400
    assert server.get("/v2/models/pm25_6h/ready").status == 200
