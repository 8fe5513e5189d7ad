"""The gRPC service of the Open Inference Protocol, with the same guard and predictions as REST."""

import asyncio
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.image import VERSION
from serving.prediction.service import Service
from serving.protocol.admin import load
from serving.protocol.grpc_calls import Method
from serving.protocol.grpc_messages import load_messages
from serving.protocol.infer_json import binary_tensor, encode_binary
from serving.protocol.message import LARGE_BODY
from serving.protocol.outputs import OutputTensor, input_tensors, output_tensors, outputs, platform
from serving.protocol.tensors import Tensor, read
from serving.protocol.v2 import EXTENSIONS
from serving.runtime.bounds import Bounds
from serving.runtime.errors import invalid
from serving.runtime.http import Request
from serving.runtime.readiness import State
from serving.security.guard import PUBLIC

#: Package and service of the protocol's definition, which generated clients call.
SERVICE = "inference.GRPCInferenceService"
#: Messages have no narrow integers, so values beyond INT8 or UINT16 arrive whole, and `tensors` refuses them.
_CONTENTS: dict[str, tuple[str, type]] = {
    "BOOL": ("bool_contents", np.bool_), "BYTES": ("bytes_contents", np.object_),
    "INT8": ("int_contents", np.int32), "INT16": ("int_contents", np.int32), "INT32": ("int_contents", np.int32),
    "UINT8": ("uint_contents", np.uint32), "UINT16": ("uint_contents", np.uint32),
    "UINT32": ("uint_contents", np.uint32), "INT64": ("int64_contents", np.int64),
    "UINT64": ("uint64_contents", np.uint64), "FP32": ("fp32_contents", np.float64),
    "FP64": ("fp64_contents", np.float64),
}  # fmt: skip

#: Values that are converted at a time, in less than a millisecond.
_VALUES = 8192


class Servicer:
    """Answers the service's methods.

    Args:
        service: the predictions.
        state: whether the server is ready.

    Attributes:
        methods: its methods by name.
    """

    def __init__(self, service: Service, state: State) -> None:
        self._service = service
        self._repository = service.repository
        self._state = state
        pb = self._messages = load_messages()
        self.methods: dict[str, Method] = {
            "ServerLive": Method(self._live, pb.ServerLiveRequest, None),
            "ServerReady": Method(self._ready, pb.ServerReadyRequest, None),
            "ModelReady": Method(self._model_ready, pb.ModelReadyRequest, None),
            "ServerMetadata": Method(self._metadata, pb.ServerMetadataRequest, PUBLIC),
            "ModelMetadata": Method(self._model_metadata, pb.ModelMetadataRequest, "predict"),
            "ModelInfer": Method(self._infer, pb.ModelInferRequest, "predict", long=True),
            "RepositoryModelLoad": Method(self._load, pb.RepositoryModelLoadRequest, "admin"),
            "RepositoryModelUnload": Method(self._unload, pb.RepositoryModelUnloadRequest, "admin"),
        }

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
            versions=self._repository.use_case(message.name).versions(message.name),
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
        columns, large = bundle.columns_of(name), len(request.body) > LARGE_BODY
        tensors = [await _tensor(message, at, self._service.bounds) for at in range(_count(message))]
        # A large message is computed in a thread, so that others are answered meanwhile.
        rows = await self._service.in_thread(lambda: read(tensors, columns)) if large else read(tensors, columns)
        answer = await self._service.predict(bundle, name, rows)
        results = outputs(answer, name, [output.name for output in message.outputs] or None)
        response = self._messages.ModelInferResponse(model_name=name, model_version=bundle.version, id=message.id)
        digest = bundle.targets[name].digest if name in bundle.targets else bundle.digest
        response.parameters["model_digest"].string_param = digest
        if answer.warnings:
            response.parameters["warnings"].string_param = "; ".join(answer.warnings)
        _write(response, results, bool(message.raw_input_contents))
        return response


def _count(message: Any) -> int:
    """Return the number of inputs; raises an HTTPError if raw contents do not fit it."""
    raw, count = len(message.raw_input_contents), len(message.inputs)
    if raw and raw != count:
        raise invalid(f"{raw} raw contents where there are {count} inputs")
    return count


async def _tensor(message: Any, at: int, bounds: Bounds) -> Tensor:
    item, shape = message.inputs[at], tuple(message.inputs[at].shape)
    if not message.raw_input_contents:
        return Tensor(item.name, item.datatype, shape, await _contents(item))
    if item.HasField("contents"):
        raise invalid(f"{item.name}: both contents and raw contents are given")
    raw = message.raw_input_contents[at]  # a copy
    if len(raw) > LARGE_BODY:
        await asyncio.sleep(0)
    return binary_tensor(item.name, item.datatype, shape, memoryview(raw), bounds)


async def _contents(item: Any) -> Any:
    if item.datatype not in _CONTENTS:
        raise invalid(f"{item.name}: datatype {item.datatype!r} needs raw contents, or is unknown")
    field, dtype = _CONTENTS[item.datatype]
    values = getattr(item.contents, field)
    if item.datatype == "BYTES":
        return list(values)
    # Without the dtype NumPy would round integers beyond int64 to float64.
    if len(values) <= _VALUES:
        return np.array(list(values), dtype=dtype)
    array: npt.NDArray[Any] = np.empty(len(values), dtype=dtype)
    for at in range(0, len(values), _VALUES):
        array[at : at + _VALUES] = values[at : at + _VALUES]
        await asyncio.sleep(0)
    return array


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
