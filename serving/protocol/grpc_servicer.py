"""The gRPC service of the Open Inference Protocol, with the same guard and predictions as REST."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
import numpy as np

from almanac.core.errors import AlmanacError
from almanac.core.image import VERSION
from monitoring.metrics import LATENCY, REQUESTS, Metrics
from serving.prediction.service import Service
from serving.protocol.admin import load
from serving.protocol.grpc_messages import load_messages
from serving.protocol.infer_json import binary_tensor, encode_binary
from serving.protocol.outputs import OutputTensor, input_tensors, output_tensors, outputs, platform
from serving.protocol.tensors import Tensor, read
from serving.protocol.v2 import EXTENSIONS
from serving.runtime.errors import HTTPError, invalid
from serving.runtime.http import Observe, Reply, Request
from serving.runtime.readiness import State
from serving.security.guard import PUBLIC, Guard

#: Package and service of the protocol's definition, which generated clients call.
SERVICE = "inference.GRPCInferenceService"
_CODES: dict[int, Any] = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    HTTPStatus.UNPROCESSABLE_ENTITY: grpc.StatusCode.FAILED_PRECONDITION,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.NOT_IMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}
#: Messages have no narrow integers, so values beyond INT8 or UINT16 arrive whole, and `tensors` refuses them.
_CONTENTS: dict[str, tuple[str, type]] = {
    "BOOL": ("bool_contents", np.bool_), "BYTES": ("bytes_contents", np.object_),
    "INT8": ("int_contents", np.int32), "INT16": ("int_contents", np.int32), "INT32": ("int_contents", np.int32),
    "UINT8": ("uint_contents", np.uint32), "UINT16": ("uint_contents", np.uint32),
    "UINT32": ("uint_contents", np.uint32), "INT64": ("int64_contents", np.int64),
    "UINT64": ("uint64_contents", np.uint64), "FP32": ("fp32_contents", np.float64),
    "FP64": ("fp64_contents", np.float64),
}  # fmt: skip

#: Status in metrics and logs of a request whose client gave up, as google.rpc.Code maps it.
_CANCELLED = 499
_LOG = logging.getLogger("almanac.serving")

Method = Callable[[Any, Request], Awaitable[Any]]


class Servicer:
    """Answers the service's methods.

    Args:
        service: the predictions.
        guard: admits requests.
        state: whether the server is ready.
        metrics: the metrics.
        observers: called with each request and its answer.
    """

    def __init__(
        self, service: Service, guard: Guard, state: State, metrics: Metrics, observers: list[Observe]
    ) -> None:
        self._service = service
        self._repository = service.repository
        self._guard = guard
        self._state = state
        self._metrics = metrics
        self._observers = observers
        self._messages = load_messages()

    def handler(self) -> Any:
        """Return the generic handler for `grpc.aio.Server.add_generic_rpc_handlers`."""
        pb = self._messages
        table: dict[str, tuple[Method, Any, str | None]] = {
            "ServerLive": (self._live, pb.ServerLiveRequest, None),
            "ServerReady": (self._ready, pb.ServerReadyRequest, None),
            "ModelReady": (self._model_ready, pb.ModelReadyRequest, None),
            "ServerMetadata": (self._metadata, pb.ServerMetadataRequest, PUBLIC),
            "ModelMetadata": (self._model_metadata, pb.ModelMetadataRequest, "predict"),
            "ModelInfer": (self._infer, pb.ModelInferRequest, "predict"),
            "RepositoryModelLoad": (self._load, pb.RepositoryModelLoadRequest, "admin"),
            "RepositoryModelUnload": (self._unload, pb.RepositoryModelUnloadRequest, "admin"),
        }
        methods = {
            name: grpc.unary_unary_rpc_method_handler(
                self._wrap(name, method, message, scope), response_serializer=lambda answer: answer.SerializeToString()
            )
            for name, (method, message, scope) in table.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _wrap(self, name: str, method: Method, kind: Any, scope: str | None) -> Callable[[bytes, Any], Awaitable[Any]]:
        # Parsed here, because grpc would answer an unreadable message as an error of the server.
        async def call(data: bytes, context: Any) -> Any:
            start = time.perf_counter()
            message = _read(kind, data)
            request = _request(name, message, context)
            trailing = {"x-request-id": request.id}
            reply, failure = None, None
            status: int = HTTPStatus.OK
            try:
                await self._admit(request, scope, trailing)
                if message is None:
                    raise invalid(f"the message is not a {kind.DESCRIPTOR.name}")
                reply = await method(message, request)
            except asyncio.CancelledError:
                status = _CANCELLED
                raise
            except Exception as error:
                answer = _http_error(error, request.id)
                status, failure = answer.status, str(answer)
                trailing.update(answer.headers)
            finally:
                self._account(request, data, reply, int(status), time.perf_counter() - start)
            # Before `abort`, which raises.
            context.set_trailing_metadata(tuple(trailing.items()))
            if failure is not None:
                await context.abort(_CODES.get(status, grpc.StatusCode.INTERNAL), failure)
            return reply

        return call

    async def _admit(self, request: Request, scope: str | None, trailing: dict[str, str]) -> None:
        if scope is not None:
            admission = await self._guard.admit(request.key, scope, request.client)
            request.who = admission.who
            trailing.update((key.decode(), value.decode()) for key, value in admission.headers)

    def _account(self, request: Request, data: bytes, reply: Any, status: int, seconds: float) -> None:
        model = request.model if request.answered_by else ""
        # Not batched: gRPC itself costs far more than these counters.
        self._metrics.counter(REQUESTS).labels(model, request.answered_by, "grpc", request.verb, str(status)).inc()
        self._metrics.histogram(LATENCY).labels(model, "grpc", request.verb).observe(seconds)
        if self._observers:
            request.body = data
            # Only for observers, since grpc serializes the answer once more for the client.
            answer = Reply(reply.SerializeToString() if reply is not None else b"", status)
            for observe in self._observers:
                observe(request, answer, "grpc", seconds)

    async def _live(self, message: Any, request: Request) -> Any:
        return self._messages.ServerLiveResponse(live=True)

    async def _ready(self, message: Any, request: Request) -> Any:
        ready = self._state.ready and self._repository.any_ready()
        return self._messages.ServerReadyResponse(ready=ready)

    async def _model_ready(self, message: Any, request: Request) -> Any:
        ready = self._repository.is_ready(message.name)
        if ready:
            request.answered_by = self._repository.bundle(message.name, message.version or None).version
        return self._messages.ModelReadyResponse(ready=ready)

    async def _metadata(self, message: Any, request: Request) -> Any:
        return self._messages.ServerMetadataResponse(name="almanac", version=VERSION, extensions=EXTENSIONS)

    async def _model_metadata(self, message: Any, request: Request) -> Any:
        pb = self._messages
        bundle = self._repository.bundle(message.name, message.version or None)
        request.answered_by = bundle.version
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=message.name,
            versions=[bundle.version],
            platform=platform(bundle, message.name),
            inputs=[tensor(**item) for item in input_tensors(bundle, message.name)],
            outputs=[tensor(**item) for item in output_tensors(bundle, message.name)],
        )

    async def _load(self, message: Any, request: Request) -> Any:
        await load(self._repository, message.model_name)
        return self._messages.RepositoryModelLoadResponse(model_name=message.model_name, isLoaded=True)

    async def _unload(self, message: Any, request: Request) -> Any:
        self._repository.unload(message.model_name)
        return self._messages.RepositoryModelUnloadResponse(model_name=message.model_name, isUnloaded=True)

    async def _infer(self, message: Any, request: Request) -> Any:
        name = message.model_name
        bundle = self._repository.bundle(name, message.model_version or None)
        request.answered_by = bundle.version
        rows = read(_tensors(message), bundle.columns_of(name))
        answer = await self._service.predict(bundle, name, rows)
        results = outputs(answer, name, [output.name for output in message.outputs] or None)
        response = self._messages.ModelInferResponse(model_name=name, model_version=bundle.version, id=message.id)
        digest = bundle.targets[name].digest if name in bundle.targets else bundle.digest
        response.parameters["model_digest"].string_param = digest
        if answer.warnings:
            response.parameters["warnings"].string_param = "; ".join(answer.warnings)
        _write(response, results, bool(message.raw_input_contents))
        return response


def _http_error(error: Exception, request_id: str) -> HTTPError:
    """Return the error that REST would answer with."""
    if isinstance(error, HTTPError):
        return error
    _LOG.error("request %s failed", request_id, exc_info=error)
    if isinstance(error, AlmanacError):
        return HTTPError(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
    message = f"internal error; the log has it under the request id {request_id}"
    return HTTPError(HTTPStatus.INTERNAL_SERVER_ERROR, message)


def _read(kind: Any, data: bytes) -> Any:
    """Return the parsed message, None if it cannot be parsed."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return kind.FromString(data)
    except DecodeError:
        return None


def _request(name: str, message: Any, context: Any) -> Request:
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    headers = {key.encode(): value.encode() for key, value in metadata.items() if key in ("authorization", "x-api-key")}
    request = Request("POST", f"/{SERVICE}/{name}", headers, _address(context.peer()))
    request.id = metadata.get("x-request-id", "")[:128] or secrets.token_hex(8)
    request.verb = name
    request.model = str(getattr(message, "model_name", "") or getattr(message, "name", ""))
    return request


def _address(peer: str) -> str:
    """Return the address of a peer such as `ipv4:127.0.0.1:4711` or `ipv6:%5B::1%5D:4711`, as REST reports it."""
    return unquote(peer).rpartition(":")[0].partition(":")[2].strip("[]")


def _tensors(message: Any) -> list[Tensor]:
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise invalid(f"{len(raw)} raw contents where there are {len(message.inputs)} inputs")
    tensors = []
    for at, item in enumerate(message.inputs):
        shape = tuple(item.shape)
        if raw:
            if item.HasField("contents"):
                raise invalid(f"{item.name}: both contents and raw contents are given")
            tensors.append(binary_tensor(item.name, item.datatype, shape, memoryview(raw[at])))
        else:
            tensors.append(Tensor(item.name, item.datatype, shape, _contents(item)))
    return tensors


def _contents(item: Any) -> Any:
    if item.datatype not in _CONTENTS:
        raise invalid(f"{item.name}: datatype {item.datatype!r} needs raw contents, or is unknown")
    field, dtype = _CONTENTS[item.datatype]
    values = list(getattr(item.contents, field))
    # Without the dtype NumPy would round integers beyond int64 to float64.
    return values if item.datatype == "BYTES" else np.array(values, dtype=dtype)


def _write(response: Any, results: list[OutputTensor], raw: bool) -> None:
    for output in results:
        tensor = response.outputs.add(name=output.name, datatype=output.datatype, shape=[len(output.values)])
        # The protocol answers raw inputs with raw outputs.
        if raw:
            response.raw_output_contents.append(encode_binary(output.datatype, output.values))
        elif output.datatype == "BYTES":
            tensor.contents.bytes_contents.extend(str(value).encode() for value in output.values)
        else:
            tensor.contents.fp64_contents.extend(output.values.tolist())
