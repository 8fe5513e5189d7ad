"""Where in a message the parser stands, and how much a client may send, how slowly.

uvicorn's protocol knows neither: it takes a head of any size and waits for its end for ever, and when it closes while
the client still sends, the kernel resets the connection and the client loses the answer. Here a head has a size and a
time; and what a client goes on sending after its answer is read and thrown away, within bounds, before the close.
"""

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.errors import Refusal, invalid

if TYPE_CHECKING:
    import asyncio

    from serving.transport.app import App

_MOST_DISCARDED = 128 << 20
_SEPARATORS = len(": \r\n")


class Limits(NamedTuple):
    """What a client may send beside its body.

    Attributes:
        head: bytes of a head; trailers count with it.
        head_seconds: how long a head may take from its first byte.
        linger_seconds: how long what a client sends after its answer is thrown away.
    """

    head: int
    head_seconds: float
    linger_seconds: float


class FramedProtocol(HttpToolsProtocol):
    """Feeds uvicorn's parser.

    Attributes:
        between: the parser has read a message whole, and not a byte of another; no other state is certain to be one.
    """

    app: "App"
    between = True
    _in_head = False
    _head = 0
    _loose = 0  # bytes since the last ones of a body: of a head, of trailers, of chunk sizes and their extensions
    _begun = 0.0
    _last = 0.0
    _discarded = 0
    _deaf = False
    _refusal: Refusal | None = None

    def connection_made(self, transport: "asyncio.Transport") -> None:  # type: ignore[override]
        """Take a connection, and wait for its first request as long as for a further one."""
        super().connection_made(transport)
        self._last = self.loop.time()
        self._watch(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        if self._deaf:
            self._discard(len(data))
            return
        self._loose += len(data)
        rest: bytes | memoryview = data
        try:
            while rest:
                rest = self._feed(rest)
        except httptools.HttpParserError:
            self._fail(self._refusal or invalid("this is not a request of HTTP/1.1"))
            return
        if self._loose > self.app.limits.head:
            self._fail(self._too_long())
        else:
            self._arm()

    def _feed(self, data: bytes | memoryview) -> bytes | memoryview:
        """Feed the parser; return what it left: it stops behind a head that asks for another protocol."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return memoryview(data)[upgrade.args[0] :]  # no other protocol is spoken here, and HTTP goes on
        return b""

    def on_message_begin(self) -> None:
        """Begin with a head."""
        self.between, self._in_head = False, True
        self._head = self._loose = self._discarded = 0
        self._begun = self.loop.time()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer."""
        self._count(len(name) + len(value) + _SEPARATORS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if self.parser.should_upgrade() and (self.parser.get_method() == b"CONNECT" or _has_body(self.headers)):
            # The parser takes the body of such a request for a message of its own.
            self._refusal = invalid("a request with a body cannot ask for another protocol; send it without Upgrade")
            raise self._refusal
        super().on_headers_complete()
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, or throw it away once the answer is given."""
        self._loose = 0
        if self.cycle.response_complete:
            self._discard(len(body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of the message."""
        self._loose = 0
        # Behind a message that says close the parser passes over everything, and begins no other.
        self.between = self.parser.should_keep_alive()
        super().on_message_complete()
        self.cycle.more_body = False

    def on_response_complete(self) -> None:
        """Go on to the next message."""
        self._last = self.loop.time()
        super().on_response_complete()
        if not self.transport.is_closing():
            self._arm()

    def end(self, cycle: RequestResponseCycle) -> None:
        """Close after the answer of `cycle`; while the client still sends, closing would lose it the answer."""
        if self._deaf or (cycle is self.cycle and cycle.more_body):
            self._linger()
        else:
            self.transport.close()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self.app.limits.head:
            self._refusal = self._too_long()
            raise self._refusal

    def _too_long(self) -> Refusal:
        message = f"the head of the request is above the limit of {self.app.limits.head} bytes"
        return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)

    def _fail(self, refusal: Refusal) -> None:
        """Answer what cannot be read on, and close; what was asked before is answered first, and is then the last."""
        cycle, in_head = self.cycle, self._in_head or self.between
        self._deafen()
        if self.transport.is_closing():
            return
        if cycle is None or (cycle.response_complete and in_head):
            self._refuse(refusal)
        elif cycle.response_complete:
            self.transport.close()  # it stands in a body whose request is answered
        elif in_head:
            cycle.keep_alive = False
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            if not self.pipeline:
                cycle.response_complete = True
                self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        client = self.client[0] if self.client else "local"
        self.transport.write(self.app.unread(refusal, client, self.server_state.default_headers))
        self._last = self.loop.time()
        self._linger()
        self._arm()

    def _linger(self) -> None:
        """Say that no more answers come, and wait until the client ends or the time is up."""
        self._deafen()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _deafen(self) -> None:
        self._deaf, self.between = True, False

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _MOST_DISCARDED:
            self.transport.close()

    def _arm(self) -> None:
        """Set the timer to what the client is waited for now."""
        self._unset_keepalive_if_required()
        left = self._left()
        if left < math.inf:
            self._watch(left)

    def _left(self) -> float:
        """Return the seconds that the client has left."""
        limits, now = self.app.limits, self.loop.time()
        if self.cycle is not None and not self.cycle.response_complete:
            return math.inf  # the server's turn; a body has a clock of its own
        if self._in_head and not self._deaf:
            return max(self._begun, self._last) + limits.head_seconds - now
        return self._last + (self.timeout_keep_alive if self.between else limits.linger_seconds) - now

    def _watch(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(max(seconds, 0.0), self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, and one whose client is late; one timer lives through many answers."""
        self.timeout_keep_alive_task = None
        if self.transport.is_closing():
            return
        left = self._left()
        if left <= 0.001:
            self._expire()
        elif left < math.inf:
            self._watch(left)

    def _expire(self) -> None:
        if self._in_head and not self._deaf:
            message = f"the head did not arrive within {self.app.limits.head_seconds:g} s"
            self._refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT, message))
        self.transport.close()


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
        for name, value in headers
    )
