"""The way of a gRPC call: admitted by its head, then received, parsed, answered, counted.

Every method is registered as one that takes a stream of messages. On the wire that is the same, but grpc would receive
the message of a unary method before anybody could look at the key; here it is received once the call is admitted.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]

from monitoring.metrics import LATENCY, REQUESTS, Metrics
from serving.protocol.grpc_errors import code_of, error_answer
from serving.protocol.grpc_wire import UNCOUNTED, count_objects
from serving.runtime.errors import HTTPError, RefusedError, invalid
from serving.runtime.http import Observe, Reply, Request
from serving.runtime.in_flight import Hold, InFlight
from serving.security.guard import PUBLIC, Admission, Guard

#: Status in metrics and logs of a request whose client gave up, as google.rpc.Code maps it.
_CANCELLED = 499
#: Bytes of a message of any method but an infer request: names and versions.
_SHORT = 16 << 10

Answer = Callable[[Any, Request], Awaitable[Any]]
Stream = Callable[[AsyncIterator[Any], Request], AsyncIterator[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service.

    Attributes:
        answer: coroutine function that answers a message; None for a method of streams.
        message: class of its messages.
        scope: scope that a key must have; `PUBLIC` if no key is needed, None for probes, which are not limited either.
        stream: answers a stream of messages by another.
        long: whether messages may be longer than names and versions.
    """

    answer: Answer | None
    message: Any
    scope: str | None
    stream: Stream | None = None
    long: bool = False


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """Limits on messages.

    Attributes:
        receiving: long messages that are received at a time.
        seconds: how long a message may take.
    """

    receiving: int
    seconds: float


class Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Admits, answers, counts and logs the calls of all services.

    Args:
        services: methods by service and name.
        guard: admits requests.
        metrics: the metrics.
        observers: called with each request and its answer.
        in_flight: memory that requests and answers may take.
        limits: limits on messages.
        use_case: returns the use case of a model, "" where there is none.
    """

    def __init__(
        self,
        services: Mapping[str, Mapping[str, Method]],
        guard: Guard,
        metrics: Metrics,
        observers: list[Observe],
        in_flight: InFlight,
        limits: MessageLimits,
        use_case: Callable[[str], str],
    ) -> None:
        self._guard = guard
        self._metrics = metrics
        self._observers = observers
        self._in_flight = in_flight
        self._limits = limits
        self._use_case = use_case
        self._receiving = asyncio.Semaphore(limits.receiving)
        self._handlers = {
            (path := f"/{service}/{name}"): (self._stream if method.stream else self._unary)(path, method)
            for service, methods in services.items()
            for name, method in methods.items()
        }
        self._unknown = self._unary("/unknown", Method(None, None, PUBLIC))

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a method, known or not: an unknown one takes a token too."""
        return self._handlers.get(handler_call_details.method, self._unknown)

    def _unary(self, path: str, method: Method) -> Any:
        async def call(messages: Any, context: Any) -> Any:
            start = time.perf_counter()
            request = _request(path, context)
            trailing = {"x-request-id": request.id}
            reply, failure = None, None
            status: int = HTTPStatus.OK
            try:
                admission = await self._admit(request, method.scope, trailing)
                if method.answer is None:
                    raise HTTPError(HTTPStatus.NOT_IMPLEMENTED, "no service has this method; ask the reflection")
                start, reply = await self._answer(method, request, context, admission)
            except asyncio.CancelledError:
                status = _CANCELLED
                raise
            except Exception as error:
                status, failure = error_answer(error, request.id, trailing)
            finally:
                self._account(request, reply, int(status), time.perf_counter() - start)
            # Before `abort`, which raises.
            context.set_trailing_metadata(tuple(trailing.items()))
            if failure is not None:
                # The error that ends the call refers to this frame, which must not keep the message.
                del request
                await context.abort(code_of(status), failure)
            return reply

        return grpc.stream_unary_rpc_method_handler(call, response_serializer=_serialized)

    async def _answer(
        self, method: Method, request: Request, context: Any, admission: Admission | None
    ) -> tuple[float, Any]:
        """Receive the message; return the time at which it was there, and its answer."""
        data = await self._receive(context)
        start = time.perf_counter()
        request.body, size = data, len(data)
        if size > _SHORT and not method.long:
            message = f"message of {size} bytes; at most {_SHORT} but for ModelInfer"
            raise HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        hold = Hold(self._in_flight)
        hold.take(size)
        try:
            if size > UNCOUNTED:
                # Receiving, parsing and reading copy the message each: others are answered between them.
                await asyncio.sleep(0)
                for _ in count_objects(data):
                    await asyncio.sleep(0)
            message = parse(method.message, data)
            if size > UNCOUNTED:
                await asyncio.sleep(0)
            request.model = str(getattr(message, "model_name", "") or getattr(message, "name", ""))
            request.use_case = self._use_case(request.model)
            # Only now: which model is meant stands in the message.
            if admission is not None:
                await self._guard.admit_to(admission, request.use_case)
            return start, await method.answer(message, request)  # type: ignore[misc]
        finally:
            hold.end()

    async def _receive(self, context: Any) -> bytes:
        """Return the message; few are received at a time, since grpc holds each as a whole."""
        try:
            async with asyncio.timeout(self._limits.seconds), self._receiving:
                data = await context.read()
        except TimeoutError:
            message = f"the message did not arrive within {self._limits.seconds:g} s"
            raise HTTPError(HTTPStatus.REQUEST_TIMEOUT, message) from None
        if data is grpc.aio.EOF:
            raise invalid("there is no message")
        return bytes(data)

    def _stream(self, path: str, method: Method) -> Any:
        async def call(messages: Any, context: Any) -> AsyncIterator[Any]:
            request = _request(path, context)
            trailing = {"x-request-id": request.id}
            status, failure = int(HTTPStatus.OK), None
            try:
                await self._admit(request, method.scope, trailing)
                async for reply in method.stream(_parsed(context, method.message), request):  # type: ignore[misc]
                    yield reply
            except (asyncio.CancelledError, GeneratorExit):
                status = _CANCELLED
                raise
            except Exception as error:
                status, failure = error_answer(error, request.id, trailing)
            finally:
                # A stream lasts as long as its client likes, which is no latency.
                self._account(request, None, status, None)
            context.set_trailing_metadata(tuple(trailing.items()))
            if failure is not None:
                await context.abort(code_of(status), failure)

        return grpc.stream_stream_rpc_method_handler(call, response_serializer=_serialized)

    async def _admit(self, request: Request, scope: str | None, trailing: dict[str, str]) -> Admission | None:
        if scope is None:
            return None
        try:
            admission = await self._guard.admit(request.key, scope, request.client)
        except RefusedError as error:
            request.who = error.who  # the audit log names the key that was refused
            raise
        request.who = admission.who
        trailing.update((key.decode(), value.decode()) for key, value in admission.headers)
        return admission

    def _account(self, request: Request, reply: Any, status: int, seconds: float | None) -> None:
        model = request.model if request.answered_by else ""
        # Not batched: gRPC itself costs far more than these counters.
        self._metrics.counter(REQUESTS).labels(model, request.answered_by, "grpc", request.verb, str(status)).inc()
        if seconds is not None:
            self._metrics.histogram(LATENCY).labels(model, "grpc", request.verb).observe(seconds)
        if self._observers:
            # Only for observers, since grpc serializes the answer once more for the client.
            answer = Reply(reply.SerializeToString() if reply is not None else b"", status)
            for observe in self._observers:
                observe(request, answer, "grpc", seconds or 0.0)


def parse(kind: Any, data: bytes) -> Any:
    """Return the parsed message.

    Raises:
        HTTPError: the bytes are no such message, which grpc would answer as an error of the server.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return kind.FromString(data)
    except DecodeError:
        raise invalid(f"the message is not a {kind.DESCRIPTOR.name}") from None


async def _parsed(context: Any, kind: Any) -> AsyncIterator[Any]:
    """Yield the messages of a stream, parsed.

    Raises:
        HTTPError: 413, a message is longer than names and versions are; 400, it is another one.
    """
    # Not by the iterator that grpc hands in, which keeps the last message of a call that ends with an error.
    while (data := await context.read()) is not grpc.aio.EOF:
        size = len(data)
        if size > _SHORT:
            # The error refers to this frame, which must not keep the message.
            del data
            raise HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"message of {size} bytes; at most {_SHORT}")
        yield parse(kind, data)


def _serialized(answer: Any) -> bytes:
    data: bytes = answer.SerializeToString()
    return data


def _request(path: str, context: Any) -> Request:
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    headers = {key.encode(): value.encode() for key, value in metadata.items() if key in ("authorization", "x-api-key")}
    request = Request("POST", path, headers, _address(context.peer()))
    request.id = metadata.get("x-request-id", "")[:128] or secrets.token_hex(8)
    service, _, name = path.rpartition("/")
    # `Check` and `Watch` by themselves would say nothing among the verbs of all protocols.
    request.verb = f"Health{name}" if service.endswith(".Health") else name
    return request


def _address(peer: str) -> str:
    """Return the address of a peer such as `ipv4:127.0.0.1:4711` or `ipv6:%5B::1%5D:4711`, as REST reports it."""
    return unquote(peer).rpartition(":")[0].partition(":")[2].strip("[]")
