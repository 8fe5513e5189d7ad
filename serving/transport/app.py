"""The ASGI application: admit, route, answer, count, log. One coroutine for the hot path, no framework in it."""

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from almanac.core.errors import AlmanacError
from monitoring.metrics import IN_FLIGHT, LATENCY, LATENCY_BUCKETS, REQUESTS, Metrics
from serving.errors import Refusal, too_large
from serving.protocol.message import Headers, Reply, Request, Scope, error_reply, open_request, read_body
from serving.protocol.message import Receive as Receive
from serving.protocol.message import Send as Send
from serving.protocol.router import Match, Router
from serving.runtime.batched_counters import Count, Tally, Times
from serving.security.guard import Guard
from serving.transport.body_timeout import BodyClock
from serving.transport.fast_path import Head
from serving.transport.headers import HeaderPolicy, block
from serving.transport.request_limits import Limits

_ID = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")
_LOG = logging.getLogger("almanac.serving")
_JSON_TYPES = (b"application/json", b"application/octet-stream", b"application/x-ndjson")


class App:
    """Answers HTTP requests.

    Args:
        router: the routes.
        guard: admits requests.
        metrics: where to count.
        tally: takes the counts of the hot path.
        headers: headers of every answer.
        max_body: largest body in bytes.
        body_seconds: how long a client may take to send its body.
        limits: what it may send beside the body.
        draining: tells whether connections are to be closed after their answer.
        observers: called with each request and its answer, for logs, audit and traces; they must not block.
    """

    def __init__(
        self,
        router: Router,
        guard: Guard,
        metrics: Metrics,
        tally: Tally,
        headers: HeaderPolicy,
        max_body: int,
        body_seconds: float,
        limits: Limits,
        draining: Callable[[], bool],
        observers: list[Callable[[Request, Reply, str, float], None]],
    ) -> None:
        self.router = router
        self._guard = guard
        self._metrics = metrics
        self._tally = tally
        self._headers = headers
        self._max_body = max_body
        self._clock = BodyClock(body_seconds)
        self.limits = limits
        self.draining = draining
        self.observers = observers
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._counters: dict[tuple[str, str, str, str, int], Count] = {}
        self._timers: dict[tuple[str, str, str], Times] = {}
        self._always: tuple[Headers, bytes] = [], b""
        self._in_flight = 0
        metrics.gauge(IN_FLIGHT).set_function(lambda: float(self._in_flight))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            await _refuse_other(scope, receive, send)
            return
        self._in_flight += 1
        request = open_request(scope)
        reply, protocol, start = await self._reply(request, receive)
        try:
            await self._send(request, reply, send)
        finally:
            self._in_flight -= 1
            self._account(request, reply, protocol, time.perf_counter() - start)

    async def quick(self, head: Head, body: bytes, client: str, always: Headers) -> bytes:
        """Answer one whole POST request; see `serving.transport.uvicorn_protocol`.

        Args:
            head: its head.
            body: its body.
            client: address of the client.
            always: headers that the server adds to every answer.
        """
        self._in_flight += 1
        request = Request("POST", head.path, head.headers, client, body)
        try:
            reply, protocol, start = await self._reply(request, None)
        finally:
            self._in_flight -= 1
        self._account(request, reply, protocol, time.perf_counter() - start)
        return self._lines(request, reply, always)

    def unread(self, refusal: Refusal, client: str, always: Headers) -> bytes:
        """Return the answer to bytes that are no request, after which the connection is closed.

        Args:
            refusal: what is wrong with them.
            client: address of the client.
            always: headers that the server adds to every answer.
        """
        request = Request("", "", {}, client, id=self._new_id())
        reply = error_reply(refusal)
        if not self.draining():
            reply.headers.append((b"connection", b"close"))
        self._account(request, reply, "http", 0.0)
        return self._lines(request, reply, always)

    def _new_id(self) -> str:
        return f"{self._prefix}{next(self._numbers):08x}"

    async def _reply(self, request: Request, receive: Receive | None) -> tuple[Reply, str, float]:
        """Return the reply, the protocol, and the time at which the request was whole."""
        given = request.headers.get(b"x-request-id")
        request.id = given.decode() if given is not None and _ID.fullmatch(given) else self._new_id()
        protocol, start = "http", time.perf_counter()
        try:
            if request.method == "OPTIONS":
                reply = self._headers.preflight(request)
            else:
                method = "GET" if request.method == "HEAD" else request.method
                match = self.router.find(method, request.path)
                protocol = match.route.protocol
                reply, start = await self._answer(request, match, receive)
        except Refusal as refusal:
            reply = error_reply(refusal)
        except AlmanacError as error:
            _LOG.exception("request %s failed", request.id)
            reply = error_reply(Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)))
        except Exception:
            _LOG.exception("request %s failed", request.id)
            message = f"internal error; the log has it under the request id {request.id}"
            reply = error_reply(Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, message))
        return reply, protocol, start

    async def _answer(self, request: Request, match: Match, receive: Receive | None) -> tuple[Reply, float]:
        """Return the reply and the time at which the request was whole."""
        route = match.route
        request.verb, request.model, request.version = route.verb, match.model, match.version
        headers = None
        if route.scope is not None:
            admission = await self._guard.admit(request.key, route.scope, request.client)
            request.who, headers = admission.who, admission.headers
        start = time.perf_counter()
        try:
            if request.method == "POST":
                _check_type(request)
                if receive is None:
                    self._check_size(request)
                else:
                    request.body = await self._body(request, receive)
                start = time.perf_counter()
            reply = await route.handler(request)
        except Refusal as refusal:
            reply = error_reply(refusal)
        if headers:
            reply.headers += headers
        return reply, start

    def _check_size(self, request: Request) -> None:
        if len(request.body) > self._max_body:
            raise too_large(len(request.body), self._max_body)

    async def _body(self, request: Request, receive: Receive) -> bytes:
        reading = self._clock.start()
        try:
            return await read_body(request, receive, self._max_body)
        except asyncio.CancelledError:
            if not reading.late:
                raise
            reading.task.uncancel()
            message = f"the body did not arrive within {self._clock.seconds:g} s"
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, message, {"connection": "close"}) from None
        finally:
            self._clock.stop(reading)

    async def _send(self, request: Request, reply: Reply, send: Send) -> None:
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
            (b"x-request-id", request.id.encode()),
            *self._headers.of(request),
            *reply.headers,
        ]
        if self.draining():
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else reply.body})

    def _lines(self, request: Request, reply: Reply, always: Headers) -> bytes:
        if always is not self._always[0]:
            self._always = always, block(always)  # the date is renewed once a second
        return b"%b%b%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b%b\r\n%b" % (
            STATUS_LINE[reply.status],
            self._always[1],
            self._headers.block_of(request),
            reply.content_type,
            len(reply.body),
            request.id.encode(),
            block(reply.headers) if reply.headers else b"",
            b"connection: close\r\n" if self.draining() else b"",
            reply.body,
        )

    def _account(self, request: Request, reply: Reply, protocol: str, seconds: float) -> None:
        # A path that names no model must not make a time series of its own.
        known = request.model if request.answered_by else ""
        key = (known, request.answered_by, protocol, request.verb, reply.status)
        counter = self._counters.get(key)
        if counter is None:
            labels = (*key[:4], str(reply.status))
            counter = self._counters[key] = self._tally.count(self._metrics.counter(REQUESTS).labels(*labels))
        counter.n += 1
        place = (known, protocol, request.verb)
        timer = self._timers.get(place)
        if timer is None:
            histogram = self._metrics.histogram(LATENCY).labels(*place)
            timer = self._timers[place] = self._tally.times(histogram, LATENCY_BUCKETS)
        timer.observe(seconds)
        for observe in self.observers:
            observe(request, reply, protocol, seconds)


def _check_type(request: Request) -> None:
    """Refuse a body in a form that no route reads; `; charset=utf-8` and the like make no difference."""
    encoding = request.headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        message = f"content-encoding {encoding.decode('latin-1')} is not read; send the body as it is"
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    given = request.headers.get(b"content-type", b"application/json")
    if given not in _JSON_TYPES and given.partition(b";")[0].strip().lower() not in _JSON_TYPES:
        message = (
            f"content-type {given.decode('latin-1')} is not read; send application/json or application/octet-stream"
        )
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)


async def _refuse_other(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "websocket.close", "code": 1003})
