"""Limits on the size and the time of a request's head, and an orderly close.

uvicorn's protocol has neither: it takes a head of any size, waits for its end for ever, and when it closes while the
client still sends, the kernel resets the connection and the client loses the answer. Here a head is limited in size and
time, and bytes that follow an answer are discarded, up to a bound, before the connection is closed.
"""

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.runtime.errors import HTTPError, invalid
from serving.transport.uvicorn_http.read_flow import ReadFlow
from serving.transport.uvicorn_http.unsent import Unsent
from serving.transport.web_guard import host_of

if TYPE_CHECKING:
    import asyncio

    from serving.transport.app import App

_MOST_DISCARDED = 128 << 20
_SEPARATORS = len(": \r\n")


class FramedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits.

    Attributes:
        between: true only between two complete messages, when it is safe to look for a request line.
    """

    app: "App"
    flow: ReadFlow
    between = True
    _in_head = False
    _head = 0
    _loose = 0  # bytes since the last piece of a body: heads, trailers, chunk sizes and their extensions
    _begun = 0.0
    _last = 0.0
    _discarded = 0
    _ignoring = False
    _error: HTTPError | None = None

    def connection_made(self, transport: "asyncio.Transport") -> None:  # type: ignore[override]
        """Take a connection; its first request may take as long as a further one."""
        super().connection_made(transport)
        self.flow = ReadFlow(transport, self.loop)
        self._unsent = Unsent(transport, self.app.in_flight, self.app.limits.body_seconds, self.loop)
        self._last = self.loop.time()
        self._watch(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Clear the timer."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._unsent.end()

    def pause_writing(self) -> None:
        """Stop writing until the client has taken the bytes that were written."""
        super().pause_writing()
        self._unsent.begin()

    def resume_writing(self) -> None:
        """Write again."""
        super().resume_writing()
        self._unsent.end()

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        if self._ignoring:
            self._discard(len(data))
            return
        self._loose += len(data)
        rest: bytes | memoryview = data
        try:
            while rest:
                rest = self._feed(rest)
        except httptools.HttpParserError:
            self._fail(self._error or invalid("this is not a request of HTTP/1.1"))
            return
        # Trailers and chunk extensions are not in `_head`, and would otherwise be unlimited.
        if self._loose > self.app.limits.head:
            self._fail(self._too_long())
        else:
            self._arm()

    def _feed(self, data: bytes | memoryview) -> bytes | memoryview:
        """Feed the parser and return the rest: it stops after a head that asks for another protocol."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return memoryview(data)[upgrade.args[0] :]  # no other protocol is supported: HTTP goes on
        return b""

    def on_message_begin(self) -> None:
        """Begin a message."""
        self.between, self._in_head = False, True
        self._head = self._loose = self._discarded = 0
        self._begun = self.loop.time()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer."""
        self._count(len(name) + len(value) + _SEPARATORS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if self.parser.should_upgrade() and (self.parser.get_method() == b"CONNECT" or _has_body(self.headers)):
            # The parser would read the body of such a request as a further message.
            self._error = invalid("a request with a body cannot ask for another protocol; send it without Upgrade")
            raise self._error
        self._error = _unacceptable(self.headers, self.parser.get_http_version())
        if self._error is not None:
            raise self._error
        super().on_headers_complete()
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, or discard it once the answer is given."""
        self._loose = 0
        if self.cycle.response_complete:
            self._discard(len(body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of the message."""
        self._loose = 0
        # After a message with `connection: close` the parser ignores everything.
        self.between = self.parser.should_keep_alive()
        super().on_message_complete()
        self.cycle.more_body = False
        # Reading is paused after a long body; the end of the connection would not be noticed.
        if not self.pipeline:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Go on to the next message."""
        self._last = self.loop.time()
        super().on_response_complete()
        if not self.transport.is_closing():
            self._arm()

    def end(self, cycle: RequestResponseCycle) -> None:
        """Close after the answer of `cycle`; a client that still sends would lose the answer by a plain close."""
        if self._ignoring or (cycle is self.cycle and cycle.more_body):
            self._linger()
        else:
            self.transport.close()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self.app.limits.head:
            self._error = self._too_long()
            raise self._error

    def _too_long(self) -> HTTPError:
        message = f"the head of the request is above the limit of {self.app.limits.head} bytes"
        return HTTPError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)

    def _fail(self, error: HTTPError) -> None:
        """Answer an unreadable message and close; an earlier request is answered first."""
        cycle, in_head = self.cycle, self._in_head or self.between
        self._ignore_rest()
        if self.transport.is_closing():
            return
        if cycle is None or (cycle.response_complete and in_head):
            self._refuse(error)
        elif cycle.response_complete:
            self.transport.close()  # within the body of a request that is answered
        elif in_head:
            cycle.keep_alive = False
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            if not self.pipeline:
                cycle.response_complete = True
                self._refuse(error)

    def _refuse(self, error: HTTPError) -> None:
        client = self.client[0] if self.client else "local"
        self.transport.write(self.app.answer_unreadable(error, client, self.server_state.default_headers))
        self._last = self.loop.time()
        self._linger()
        self._arm()

    def _linger(self) -> None:
        """End the answers, also to requests that wait for theirs, until the client closes or the time is up."""
        self._ignore_rest()
        self.pipeline.clear()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _ignore_rest(self) -> None:
        self._ignoring, self.between = True, False

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _MOST_DISCARDED:
            self.transport.close()

    def _arm(self) -> None:
        """Set the timer for the client's next step."""
        self._unset_keepalive_if_required()
        left = self._left()
        if left < math.inf:
            self._watch(left)

    def _left(self) -> float:
        """Return the seconds that the client has left for its next step."""
        limits, now = self.app.limits, self.loop.time()
        if self.cycle is not None and not self.cycle.response_complete:
            return math.inf  # the server's turn; `BodyTimeout` times the body
        if self._in_head and not self._ignoring:
            return max(self._begun, self._last) + limits.head_seconds - now
        return self._last + (self.timeout_keep_alive if self.between else limits.linger_seconds) - now

    def _watch(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(max(seconds, 0.0), self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, or one whose client is late; one timer serves many answers."""
        self.timeout_keep_alive_task = None
        if self.transport.is_closing():
            return
        left = self._left()
        # uvloop rounds timers to milliseconds, so one may fire a little early.
        if left <= 0.001:
            self._expire()
        elif left < math.inf:
            self._watch(left)

    def _expire(self) -> None:
        if self._in_head and not self._ignoring:
            message = f"the head did not arrive within {self.app.limits.head_seconds:g} s"
            self._refuse(HTTPError(HTTPStatus.REQUEST_TIMEOUT, message))
        self.transport.close()


def _unacceptable(headers: list[tuple[bytes, bytes]], version: str) -> HTTPError | None:
    """Return the error for a head that RFC 9112 (3.2 and 6.1) lets no server answer, or None."""
    hosts = [value for name, value in headers if name == b"host"]
    # HTTP/1.0 knows no Host.
    if len(hosts) > 1 or (version != "1.0" and not hosts):
        return invalid(f"{len(hosts) or 'no'} Host headers; a request has one")
    if hosts and host_of(hosts[0]) is None:
        return invalid("the Host header is malformed; it is a name or an address, and perhaps a port")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and [value.lower() for value in codings] != [b"chunked"]:
        return HTTPError(HTTPStatus.NOT_IMPLEMENTED, "a transfer encoding other than chunked is not read")
    return None


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
        for name, value in headers
    )
