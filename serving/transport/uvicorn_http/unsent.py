"""Answers that a client does not take: they count as memory in flight, and not for ever."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from serving.runtime.in_flight import InFlight


class Unsent:
    """The bytes of a connection that the client has not taken yet.

    Args:
        transport: the connection.
        in_flight: memory of requests and answers.
        seconds: how long a client may take none of them, after which the connection is cut.
        loop: the event loop.
    """

    def __init__(
        self, transport: "asyncio.Transport", in_flight: "InFlight", seconds: float, loop: "asyncio.AbstractEventLoop"
    ) -> None:
        self._transport = transport
        self._in_flight = in_flight
        self._seconds = seconds
        self._loop = loop
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Count the bytes that wait to be sent, once they exceed the transport's own buffer."""
        self._count()
        self._timer = self._loop.call_later(self._seconds, self._check)

    def end(self) -> None:
        """Count nothing any more: it is sent, or the connection is lost."""
        self._in_flight.give(self._size)
        self._size = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _count(self) -> None:
        size = self._transport.get_write_buffer_size()
        self._in_flight.add(size - self._size)
        self._size = size

    def _check(self) -> None:
        before = self._size
        self._count()
        if self._size >= before:
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(self._seconds, self._check)
