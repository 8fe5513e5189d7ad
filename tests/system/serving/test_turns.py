"""A connection that sends much is read a piece a turn of the event loop, whatever becomes of the bytes."""

import asyncio
import socket
from collections import Counter
from pathlib import Path

import pytest
import uvloop

from serving.build import build
from serving.settings import Settings
from serving.transport.sockets import listen
from serving.transport.uvicorn_http import HTTPServer, Protocol
from serving.transport.uvicorn_http.read_flow import LONG_PIECE, ReadFlow
from tests.support.largest_bodies import BODY

#: What takes a body: nothing, a route of short bodies, one of long ones, bytes that are no request.
HEAD = b"POST %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n\r\n"
LENGTH = b"Content-Length: %d" % BODY
TAKERS = {
    "nothing": HEAD % (b"/nothing", LENGTH),
    "short bodies": HEAD % (b"/v2/repository/index", LENGTH),
    "long bodies": HEAD % (b"/v1/models/air:predict", LENGTH),
    "chunks": HEAD % (b"/nothing", b"Transfer-Encoding: chunked") + b"%x\r\n" % BODY,
    "no request": b"nonsense\r\n\r\n",
}


def pieces_by_turn(model: Path, head: bytes, monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """The long pieces that were read in each turn of the loop from a client that sends without a pause."""
    pieces: Counter[int] = Counter()
    turn = 0
    receive = Protocol.data_received

    def recorded(self: Protocol, data: bytes) -> None:
        pieces[turn] += len(data) >= LONG_PIECE
        receive(self, data)

    monkeypatch.setattr(Protocol, "data_received", recorded)

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def run() -> None:
        server = build(Settings([str(model)], drift_seconds=0))
        sock = listen("127.0.0.1", 0)
        port = sock.getsockname()[1]
        http = HTTPServer(server.app, 1.0, None)
        serving, counting = asyncio.create_task(http.serve(sockets=[sock])), asyncio.create_task(count())
        await asyncio.to_thread(_send, port, head + b" " * BODY)
        http.should_exit = True
        await serving
        counting.cancel()
        await server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return pieces


def _send(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass


@pytest.mark.parametrize("taker", TAKERS)
def test_a_piece_is_read_in_a_turn(model_dir: Path, taker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = pieces_by_turn(model_dir, TAKERS[taker], monkeypatch)
    # How many there are depends on what the kernel hands over at once.
    assert sum(pieces.values()) > 10
    assert max(pieces.values()) == 1


def test_without_the_rule_a_turn_reads_many(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above would see if somebody took the rule away."""
    monkeypatch.setattr(ReadFlow, "end_turn", lambda _: None)
    assert max(pieces_by_turn(model_dir, TAKERS["nothing"], monkeypatch).values()) > 1
