"""Clients that go away or do not read: their work stops, and what they hold is bounded."""

import json
import socket
from pathlib import Path

import numpy as np

from tests.support.server import ServerProcess, Start, as_row, wait_for
from tests.system.serving.test_operation import total

EXPLAIN = "/v1/models/air:explain"


def long_request(feature_rows: np.ndarray, path: str = EXPLAIN, count: int = 8000) -> bytes:
    body = json.dumps({"instances": [as_row(values) for values in feature_rows[:count]]}).encode()
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def abandoned(server: ServerProcess) -> float:
    return total(server, "almanac_requests_total", code="499")


def test_the_work_for_a_client_that_has_gone_stops(start: Start, feature_rows: np.ndarray) -> None:
    server, data = start(), long_request(feature_rows)
    for _ in range(3):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(data)
        wait_for(lambda: total(server, "almanac_requests_in_flight") >= 2, pause=0.0)
        connection.close()
    wait_for(lambda: abandoned(server) == 3)
    wait_for(lambda: total(server, "almanac_requests_in_flight") == 1)


def test_a_change_is_made_whole_or_not_at_all(start: Start) -> None:
    server = start()
    body = json.dumps({"feedback": [{"prediction": 1.0, "actual": 2.0}] * 10_000}).encode()
    head = f"POST /v1/models/pm25_1h:feedback HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    for _ in range(3):
        before = total(server, "almanac_feedback_total")
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(head.encode() + body)
        connection.close()
        wait_for(lambda: total(server, "almanac_requests_in_flight") == 1)
        assert total(server, "almanac_feedback_total") - before in (0, 10_000)


def test_answers_that_nobody_reads_are_bounded_and_end(start: Start, feature_rows: np.ndarray) -> None:
    limits = ("--max-body", "2000000", "--max-answer", "8000000", "--max-message", "1000000")
    server = start(*limits, "--max-in-flight", "8000000", "--body-seconds", "1")
    data = long_request(feature_rows)
    connections = []
    for _ in range(3):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(data)
        connections.append(connection)
    wait_for(lambda: total(server, "almanac_requests_in_flight") == 1)
    refused = server.request("POST", EXPLAIN, data.partition(b"\r\n\r\n")[2], {"content-type": "application/json"})
    assert (refused.status, "--max-in-flight" in refused.json["error"]) == (429, True)
    assert refused.headers["retry-after"] == "1"
    one = {"instances": [as_row(feature_rows[0])]}
    assert server.post("/v1/models/air:predict", one).status == 200
    opened = Path(f"/proc/{server.process.pid}/fd")
    sockets = sum(1 for _ in opened.iterdir())
    wait_for(lambda: sum(1 for _ in opened.iterdir()) <= sockets - 3)
    assert server.request(
        "POST", EXPLAIN, data.partition(b"\r\n\r\n")[2], {"content-type": "application/json"}
    ).status in (200, 413)
    for connection in connections:
        connection.close()
