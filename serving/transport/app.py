"""The ASGI application: admit, route, answer, count, log. One coroutine for the hot path, no framework in it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from monitoring.metrics import IN_FLIGHT, Metrics
from serving.protocol.message import error_reply
from serving.protocol.router import Match, Router
from serving.runtime.batched_counters import BatchedCounters
from serving.runtime.coroutine_start import resume
from serving.runtime.errors import HTTPError, too_large
from serving.runtime.http import Headers, Observe, Reply, Request
from serving.runtime.in_flight import LONG, Hold, InFlight
from serving.security.guard import PUBLIC, Guard
from serving.transport.accounts import Accounts
from serving.transport.answer_bytes import AnswerBytes
from serving.transport.asgi import Receive, Scope, Send, open_request, read_body, refuse_other
from serving.transport.body_timeout import BodyTimeout
from serving.transport.clearance import clear
from serving.transport.content_type import check_type
from serving.transport.failures import failure_reply
from serving.transport.fast_path import Head, HeadCache
from serving.transport.headers import HeaderPolicy
from serving.transport.limits import Limits
from serving.transport.request_ids import RequestIds
from serving.transport.web_guard import CHANGES, WebGuard

#: Bytes from which a body that arrived whole counts as memory in flight.
_LARGE = 16 << 10
#: Operations whose bodies are long, and the bytes of a body of any other.
_LONG_BODIES = frozenset({"predict", "explain", "steps", "infer", "ingest", "feedback"})
_SHORT_BODY = 64 << 10
#: The answer that nobody waits for; its status is that of nginx for a client that closed the connection.
_ABANDONED = Reply(b"", 499)


class App:
    """Answers HTTP requests.

    Args:
        router: the routes.
        guard: admits requests.
        metrics: the metrics.
        counters: batches the metrics of the hot path.
        headers: headers of every answer.
        limits: limits on what a client sends.
        draining: returns whether connections are to be closed after their answer.
        observers: called with each request and its answer, for logs, audit and traces.
        web: refuses what web pages may not send; by default those of any other origin.
        in_flight: memory of requests and answers; by default that of four bodies.

    Attributes:
        heads: heads of whole requests.
    """

    def __init__(
        self,
        router: Router,
        guard: Guard,
        metrics: Metrics,
        counters: BatchedCounters,
        headers: HeaderPolicy,
        limits: Limits,
        draining: Callable[[], bool],
        observers: list[Observe],
        web: WebGuard | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        self.in_flight = in_flight or InFlight(4 * limits.body)
        self.router = router
        self._guard = guard
        self._web = web or WebGuard()
        self._headers = headers
        self._bytes = AnswerBytes(headers, draining)
        self.limits = limits
        self._short = min(_LARGE, limits.body)
        self._body_timeout = BodyTimeout(limits.body_seconds)
        self.draining = draining
        self.observers = observers
        self.heads = HeadCache()
        self._accounts = Accounts(metrics, counters, observers)
        self._ids = RequestIds()
        self._in_flight = 0
        counters.gauge(metrics.gauge(IN_FLIGHT), lambda: float(self._in_flight))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            await refuse_other(scope, receive, send)
            return
        # A plain number that the gauge reads at each scrape: setting a gauge takes a lock.
        self._in_flight += 1
        request = open_request(scope)
        reply, protocol, start = _ABANDONED, "http", time.perf_counter()
        try:
            reply, protocol, start = await self._reply(request, receive)
            await self._send(request, reply, send)
        finally:
            self._in_flight -= 1
            self._accounts.take(request, reply, protocol, time.perf_counter() - start)

    def answer_whole(
        self, head: Head, body: bytes, client: str, default_headers: Headers
    ) -> bytes | Coroutine[Any, Any, bytes]:
        """Answer a POST request that arrived whole; see `serving.transport.uvicorn_http.protocol`.

        Args:
            head: its head.
            body: its body.
            client: address of the client.
            default_headers: headers that the server adds to every answer.

        Returns:
            The answer, or a coroutine that returns it where it may have to wait.
        """
        start = time.perf_counter()
        request = Request("POST", head.path, head.headers, client, body)
        clearance = head.clearance
        if clearance is None or clearance.generation != self.router.generation:
            clearance = head.clearance = clear(request, self.router, self._guard, self._web)
        if clearance is None or len(body) > self._short:
            return self._answer_in_turn(request, default_headers)
        match, rate = clearance.match, b""
        self._ids.name(request)
        _direct(request, match)
        try:
            admitted = self._guard.admit_by(clearance.grant, client)
            if admitted is None:
                head.clearance = None
                return self._answer_in_turn(request, default_headers)
            request.who, rate = admitted
            handling = match.route.handler(request)
            # Most handlers wait for nothing, and a task costs more than the prediction.
            waiting = handling.send(None)
        except StopIteration as end:
            reply: Reply = end.value
        except Exception as error:
            reply = failure_reply(request, error)
        else:
            return self._answer_later(request, match, resume(handling, waiting), rate, start, default_headers)
        self._accounts.take(request, reply, match.route.protocol, time.perf_counter() - start)
        return self._bytes.render(request, reply, default_headers, rate)

    async def _answer_later(
        self,
        request: Request,
        match: Match,
        handling: Awaitable[Reply],
        rate: bytes,
        start: float,
        default_headers: Headers,
    ) -> bytes:
        """Answer an admitted request whose handler waits for something."""
        self._in_flight += 1
        reply = _ABANDONED
        try:
            reply = await handling
        except Exception as error:
            reply = failure_reply(request, error)
        finally:
            self._in_flight -= 1
            self._accounts.take(request, reply, match.route.protocol, time.perf_counter() - start)
        return self._bytes.render(request, reply, default_headers, rate)

    async def _answer_in_turn(self, request: Request, default_headers: Headers) -> bytes:
        """Answer a request of which nothing is known beforehand."""
        self._in_flight += 1
        reply, protocol, start = _ABANDONED, "http", 0.0
        try:
            reply, protocol, start = await self._reply(request, None)
        finally:
            self._in_flight -= 1
            self._accounts.take(request, reply, protocol, time.perf_counter() - start if start else 0.0)
        return self._bytes.render(request, reply, default_headers)

    def answer_unreadable(self, error: HTTPError, client: str, default_headers: Headers) -> bytes:
        """Return the answer to bytes that are no request, after which the connection is closed.

        Args:
            error: the reason.
            client: address of the client.
            default_headers: headers that the server adds to every answer.
        """
        request = Request("", "", {}, client, id=self._ids.new())
        reply = error_reply(error)
        # While the server drains, it is there anyway.
        if not self.draining():
            reply.headers.append((b"connection", b"close"))
        self._accounts.take(request, reply, "http", 0.0)
        return self._bytes.render(request, reply, default_headers)

    async def _reply(self, request: Request, receive: Receive | None) -> tuple[Reply, str, float]:
        """Return the reply, the protocol, and the time at which the request was complete."""
        self._ids.name(request)
        protocol, start = "http", time.perf_counter()
        try:
            match = self._match(request)
            if isinstance(match, Reply):
                # What no route answers takes a token as well: it is work, and anybody may send it.
                admission = await self._guard.admit(None, PUBLIC, request.client)
                match.headers += admission.headers
                reply = match
            else:
                protocol = match.route.protocol
                reply, start = await self._answer(request, match, receive)
        except Exception as error:
            reply = failure_reply(request, error)
        return reply, protocol, start

    def _match(self, request: Request) -> Match | Reply:
        """Return the route, or the answer where there is none: to a preflight, an unknown path or another method."""
        try:
            if request.method == "OPTIONS":
                return self._headers.preflight(request)
            return self.router.find("GET" if request.method == "HEAD" else request.method, request.path)
        except HTTPError as error:
            return error_reply(error)

    async def _answer(self, request: Request, match: Match, receive: Receive | None) -> tuple[Reply, float]:
        """Return the reply and the time at which the request was complete."""
        route, headers = match.route, None
        _direct(request, match)
        if route.scope is not None:
            admission = await self._guard.admit(request.key, route.scope, request.client)
            request.who, headers = admission.who, admission.headers
            if self._guard.has_use_case_rates or admission.use_cases is not None:
                await self._guard.admit_to(admission, match.use_case)
        start = time.perf_counter()
        try:
            if request.method == "POST":
                check_type(request)
                self._web.check(request)
                if receive is not None or len(request.body) > _LARGE:
                    reply, start = await self._answer_long(request, match, receive)
                else:
                    if len(request.body) > self.limits.body:
                        raise too_large(len(request.body), self.limits.body)
                    reply = await self._handle(request, match)
            else:
                reply = await route.handler(request)
        except HTTPError as error:
            # Caught here and not by the caller: an error after admission still carries the rate limit's headers.
            reply = error_reply(error)
        if headers:
            reply.headers += headers
        return reply, start

    async def _answer_long(self, request: Request, match: Match, receive: Receive | None) -> tuple[Reply, float]:
        """Return the answer to a request whose body counts as memory in flight from its first byte on."""
        hold, limit = Hold(self.in_flight), self.limits.body
        if match.route.verb not in _LONG_BODIES:
            limit = min(limit, _SHORT_BODY)
        try:
            if receive is not None:
                request.body = await self._body_timeout.limit(read_body(request, receive, limit, hold.take))
            elif len(request.body) > limit:
                raise too_large(len(request.body), limit)
            else:
                hold.take(len(request.body))
            start = time.perf_counter()
            if len(request.body) < LONG:
                return await self._handle(request, match), start
            async with self.in_flight.turn:
                return await self._handle(request, match), start
        finally:
            hold.end()

    async def _handle(self, request: Request, match: Match) -> Reply:
        if match.route.verb not in CHANGES:
            return await match.route.handler(request)
        # A client that goes away ends the work for it, but not a change half-way through.
        return await asyncio.shield(match.route.handler(request))

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


def _direct(request: Request, match: Match) -> None:
    """Write down where a request goes."""
    request.verb, request.model, request.version = match.route.verb, match.model, match.version
    request.use_case = match.use_case
