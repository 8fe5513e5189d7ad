"""The Open Inference Protocol (V2): infer in JSON and binary, metadata, health."""

from typing import Any

import numpy as np

from almanac.core.image import VERSION
from almanac.model.bundle import Bundle
from serving.prediction.answers import Answer
from serving.prediction.service import LARGE, Service
from serving.protocol.infer_json import SMALL, InferRequest, encode_binary, read_infer, read_large
from serving.protocol.message import encode_large, json_reply
from serving.protocol.outputs import OutputTensor, input_tensors, output_tensors, outputs, platform
from serving.protocol.tensors import read
from serving.runtime.errors import invalid
from serving.runtime.http import Reply, Request
from serving.runtime.readiness import State

_LENGTH = b"inference-header-content-length"
EXTENSIONS = ["model_repository", "binary_tensor_data"]


class V2:
    """The V2 routes over a service."""

    def __init__(self, service: Service, state: State) -> None:
        self._service = service
        self._repository = service.repository
        self._state = state

    async def metadata(self, request: Request) -> Reply:
        """Return the server's metadata."""
        return json_reply({"name": "almanac", "version": VERSION, "extensions": EXTENSIONS})

    async def live(self, request: Request) -> Reply:
        """Return that the server is alive."""
        return json_reply({"live": True})

    async def ready(self, request: Request) -> Reply:
        """Return whether the server is ready: a model is loaded, and it is not draining."""
        ready = self._state.ready and self._repository.any_ready()
        return json_reply({"ready": ready}, 200 if ready else 503)

    async def models(self, request: Request) -> Reply:
        """Return the names of the models."""
        return json_reply({"models": self._repository.names})

    async def model(self, request: Request) -> Reply:
        """Return a model's metadata."""
        name = request.model
        self._repository.check_name(name)
        bundle = self._repository.bundle(name, request.version)
        request.answered_by = bundle.version
        document: dict[str, Any] = {
            "name": name,
            "versions": self._repository.use_case(name).versions(name),
            "platform": platform(bundle, name),
            "inputs": input_tensors(bundle, name),
            "outputs": output_tensors(bundle, name),
        }
        return json_reply(document)

    async def model_ready(self, request: Request) -> Reply:
        """Return whether a model is ready; 503 if not."""
        self._repository.check_ready(request.model)
        request.answered_by = self._repository.bundle(request.model, request.version).version
        return json_reply({"name": request.model, "ready": True})

    async def infer(self, request: Request) -> Reply:
        """Predict the rows of the tensors."""
        name = request.model
        bundle = self._repository.bundle(name, request.version)
        request.answered_by = bundle.version
        service, bounds = self._service, self._service.bounds
        # Reading, computing and writing a large body each leave the event loop free.
        if len(request.body) > SMALL:
            infer = await read_large(request.body, _json_length(request), bounds)
            instances = await service.in_thread(lambda: read(infer.tensors, bundle.columns_of(name)))
            answer = await service.predict(bundle, name, instances)
            return await service.in_thread(lambda: _answer(bundle, name, answer, infer))
        infer = read_infer(request.body, _json_length(request), bounds)
        instances = read(infer.tensors, bundle.columns_of(name))
        answer = await service.predict(bundle, name, instances)
        if len(instances) < LARGE:
            return _answer(bundle, name, answer, infer)
        return await service.in_thread(lambda: _answer(bundle, name, answer, infer))


def _answer(bundle: Bundle, name: str, answer: Answer, infer: InferRequest) -> Reply:
    document: dict[str, Any] = {"model_name": name, "model_version": bundle.version}
    if infer.id is not None:
        document["id"] = infer.id
    digest = bundle.targets[name].digest if name in bundle.targets else bundle.digest
    document["parameters"] = {"model_digest": digest}
    if answer.warnings:
        document["parameters"]["warnings"] = "; ".join(answer.warnings)
    return _reply(document, outputs(answer, name, infer.outputs), infer)


def _json_length(request: Request) -> int | None:
    text = request.headers.get(_LENGTH)
    if text is None:
        return None
    if not text.isdigit() or len(text) > 12:
        raise invalid("Inference-Header-Content-Length is not a number of bytes")
    return int(text)


def _reply(document: dict[str, Any], results: list[OutputTensor], infer: InferRequest) -> Reply:
    tensors, parts = [], []
    for output in results:
        tensor: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": [len(output.values)]}
        if infer.binary is None or output.name in infer.binary:
            data = encode_binary(output.datatype, output.values)
            tensor["parameters"] = {"binary_data_size": len(data)}
            parts.append(data)
        else:
            tensor["data"] = output.values.tolist() if isinstance(output.values, np.ndarray) else output.values
        tensors.append(tensor)
    document["outputs"] = tensors
    head = encode_large(document)
    if not parts:
        return Reply(head)
    length = (_LENGTH, b"%d" % len(head))
    return Reply(b"".join([head, *parts]), 200, b"application/octet-stream", [length])
