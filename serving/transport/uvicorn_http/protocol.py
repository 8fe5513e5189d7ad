"""uvicorn's HTTP protocol with a fast path in and out.

A request that arrives whole is answered in the call that received it, without a parser's callbacks, a scope, events and
a task, which together cost several times as much as the prediction. If the answer has to wait, the rest of it becomes a
task. Every other request goes through uvicorn's parser, and its answer is written by `_sender`: uvicorn would check
each header of each answer by two regular expressions, but ours are constants, numbers, or checked on arrival.
"""

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serving.runtime.coroutine_start import resume
from serving.transport.fast_path import Head
from serving.transport.headers import STATUS_LINES
from serving.transport.uvicorn_http.read_flow import LONG_PIECE
from serving.transport.uvicorn_http.request_limits import FramedProtocol

if TYPE_CHECKING:
    import asyncio

#: Bytes from which an answer is sent after its head, since joining the two would copy it.
_LARGE = 64 << 10


class Protocol(FramedProtocol):
    """Answers whole requests by `App.answer_whole`, and runs the application for others."""

    _waiting: "asyncio.Task[None] | None" = None
    _task: "asyncio.Task[None] | None" = None
    _held: bytes = b""

    def connection_made(self, transport: "asyncio.Transport") -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(transport)
        self._heads = self.app.heads

    def connection_lost(self, exc: Exception | None) -> None:
        """End the work for a client that has gone; a body that is still expected ends by itself."""
        super().connection_lost(exc)
        if self._waiting is not None:
            self._waiting.cancel()
        if self._task is not None and self.cycle is not None and not self.cycle.more_body:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        if len(data) >= LONG_PIECE:
            self.flow.end_turn()
        if self._waiting is not None:
            self._hold(data)
            return
        # Within a message the same bytes could be part of a head or a body.
        if self.between and (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused:
            end = data.find(b"\r\n\r\n")
            head = self._heads.read(data[:end]) if end > 0 else None
            if head is not None and len(data) == end + 4 + head.length:
                self._answer(head, data[end + 4 :])
                return
        super().data_received(data)

    def _answer(self, head: Head, body: bytes) -> None:
        self._last = self.loop.time()
        client = self.client[0] if self.client else "local"
        answer = self.app.answer_whole(head, body, client, self.server_state.default_headers)
        if isinstance(answer, bytes):
            self._write(answer)
            return
        try:
            waiting = answer.send(None)
        except StopIteration as end:
            self._write(end.value)
        else:
            self._waiting = self.loop.create_task(self._later(answer, waiting))
            # uvicorn's shutdown waits for the tasks in this set.
            self.tasks.add(self._waiting)
            self._waiting.add_done_callback(self.tasks.discard)

    async def _later(self, coroutine: Coroutine[Any, Any, bytes], waiting: Any) -> None:
        answer = b""
        try:
            answer = await resume(coroutine, waiting)
        finally:
            self._waiting = None
            if not answer:
                self.transport.close()
        if self.transport.is_closing():
            return
        self._write(answer)
        if self._held and not self.transport.is_closing():
            held, self._held = self._held, b""
            self.flow.release()
            self.data_received(held)

    def _write(self, answer: bytes) -> None:
        self.transport.write(answer)
        # As uvicorn does for its own requests.
        self.server_state.total_requests += 1
        if self.app.draining():
            self.transport.close()
        # A running timer is left as it is: when it fires, it looks at the time of the last answer.
        elif self.timeout_keep_alive_task is None:
            self._watch(self.timeout_keep_alive)

    def _hold(self, data: bytes) -> None:
        """Keep bytes that arrive before the answer is sent, and read no more."""
        if not self._held:
            self.flow.hold()
        self._held += data

    def _left(self) -> float:
        return self.timeout_keep_alive if self._waiting is not None else super()._left()

    def shutdown(self) -> None:
        """Close, unless an answer is pending: `App.draining` closes the connection after it."""
        if self._waiting is None:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self._task = self.loop.create_task(_run(self, cycle, app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)


async def _run(protocol: FramedProtocol, cycle: RequestResponseCycle, app: Any) -> None:
    try:
        await app(cycle.scope, cycle.receive, _sender(protocol, cycle))
    finally:
        if not cycle.response_complete and not cycle.transport.is_closing():
            cycle.transport.close()
        # As uvicorn's own `run_asgi` ends, which this replaces.
        cycle.on_response = lambda: None


def _sender(
    protocol: FramedProtocol, cycle: RequestResponseCycle
) -> Callable[[MutableMapping[str, Any]], Awaitable[None]]:
    head: list[bytes] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            cycle.response_started = True
            _head(cycle, message, head)
            return
        if cycle.flow.write_paused:
            await cycle.flow.drain()
        # The client may have gone meanwhile, and uvloop raises an error for a write to a closed connection. Of requests
        # that were sent at once uvicorn marks the last one alone.
        if cycle.disconnected or cycle.transport.is_closing():
            return
        body = message["body"]
        if len(body) > _LARGE:
            cycle.transport.write(b"".join(head))
            cycle.transport.write(body)
        else:
            cycle.transport.write(b"".join([*head, body]))
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            protocol.end(cycle)
        cycle.on_response()

    return send


def _head(cycle: RequestResponseCycle, message: MutableMapping[str, Any], head: list[bytes]) -> None:
    head.append(STATUS_LINES[message["status"]])
    for name, value in cycle.default_headers:
        head += (name, b": ", value, b"\r\n")
    for name, value in message["headers"]:
        if name == b"connection":
            cycle.keep_alive = False  # the application sends no value but close
        else:
            head += (name, b": ", value, b"\r\n")
    head.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
