"""Clients that go away or do not read: their work stops, and what they hold is bounded."""

import asyncio
import json
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop

from serving.build import Server, build
from serving.settings import Settings
from serving.transport.sockets import listen
from serving.transport.uvicorn_http import HTTPServer
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


def errors_beside(model: Path, talk: Callable[[Server, socket.socket], None]) -> list[str]:
    """The errors with which tasks of a server in this process end during a conversation."""
    errors: list[str] = []

    def note(task: asyncio.Task[object]) -> None:
        if not task.cancelled() and task.exception() is not None:
            errors.append(repr(task.exception()))

    def noted(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        task.add_done_callback(note)
        return task

    async def run() -> None:
        asyncio.get_running_loop().set_task_factory(noted)
        server, sock = build(Settings([str(model)], drift_seconds=0)), listen("127.0.0.1", 0)
        address, http = sock.getsockname(), HTTPServer(server.app, 1.0, None)
        serving = asyncio.create_task(http.serve(sockets=[sock]))
        with socket.socket() as connection:
            # A small buffer: what is not read stays with the server.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(connection.connect, address)
            await asyncio.to_thread(talk, server, connection)
        await asyncio.to_thread(wait_for, lambda: not server.app._in_flight and not http.server_state.connections)
        http.should_exit = True
        await serving
        await server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return errors


def behind_an_unread_answer(server: Server, connection: socket.socket, data: bytes) -> None:
    """Leave while a second answer waits behind a first one that is not read."""
    connection.sendall(data)
    wait_for(lambda: connection.recv(1, socket.MSG_PEEK))
    connection.sendall(b"POST /v1/models HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n{")
    wait_for(lambda: server.app._in_flight == 1, pause=0.0)


def before_a_third(server: Server, connection: socket.socket, data: bytes) -> None:
    """Leave as before, within the body of a third request."""
    connection.sendall(data)
    wait_for(lambda: connection.recv(1, socket.MSG_PEEK))
    third = b"POST /v1/models HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n{"
    connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n" + third)
    wait_for(lambda: server.app._in_flight == 1, pause=0.0)


def at_the_end(server: Server, connection: socket.socket, data: bytes) -> None:
    """Send a second request, and what is none, while the first is worked on by a server that ends."""
    connection.sendall(data + b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n")
    wait_for(lambda: server.app._in_flight == 1, pause=0.0)
    server.state.draining = True
    answer = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert answer.endswith(b"}")


@pytest.mark.parametrize("talk", [behind_an_unread_answer, before_a_third, at_the_end])
def test_nothing_is_written_to_a_connection_that_is_closed(
    model_dir: Path, feature_rows: np.ndarray, talk: Callable[..., None]
) -> None:
    data = long_request(feature_rows)
    assert errors_beside(model_dir, partial(talk, data=data)) == []


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
