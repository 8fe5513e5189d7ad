"""The memory of requests and answers that the server holds at a time."""

import asyncio
from http import HTTPStatus

from serving.runtime.errors import HTTPError

#: Bytes from which a request waits for its turn: a few of this size are worked on at a time.
LONG = 1 << 20
#: Bytes up to which a request is answered however much is in flight.
SHORT = 16 << 10


class InFlight:
    """A budget of bytes, shared by HTTP and gRPC; only for the event loop's thread.

    Attributes:
        most: bytes that may be held at a time.
        held: bytes that are held now.
        turn: lets few long requests be worked on at a time; each takes several times its bytes.
    """

    def __init__(self, most: int, turns: int = 2) -> None:
        self.most = most
        self.held = 0
        self.turn = asyncio.Semaphore(turns)

    def take(self, size: int) -> None:
        """Add bytes.

        Raises:
            HTTPError: 429, there would be more than `most`.
        """
        if self.held + size > self.most:
            message = f"{self.held} bytes of requests and answers are in flight, of {self.most} (--max-in-flight)"
            raise HTTPError(HTTPStatus.TOO_MANY_REQUESTS, message, {"retry-after": "1"})
        self.held += size

    def add(self, size: int) -> None:
        """Add bytes that are there already, such as those of an answer."""
        self.held += size

    def give(self, size: int) -> None:
        """Return bytes."""
        self.held -= size


class Hold:
    """The bytes of one request.

    Args:
        in_flight: the budget that they are part of.
    """

    __slots__ = ("_in_flight", "_size")

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._size = 0

    def take(self, size: int) -> None:
        """Add bytes; raises as `InFlight.take`, but for a short request, which is answered in any case."""
        if self._size + size <= SHORT:
            self._in_flight.add(size)
        else:
            self._in_flight.take(size)
        self._size += size

    def end(self) -> None:
        """Return all of them."""
        self._in_flight.give(self._size)
        self._size = 0
