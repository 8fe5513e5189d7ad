"""V2 infer requests over HTTP, in JSON and in JSON followed by binary tensors."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from serving.protocol.tensors import DTYPES, Tensor
from serving.runtime.errors import invalid


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = msgspec.Raw()  # decoded later, tensor by tensor, so that others are answered in between


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):  # kserve's own client sends further fields, such as model_name
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Output] | None = None


@dataclass(frozen=True, slots=True)
class InferRequest:
    """An infer request of either encoding.

    Attributes:
        id: the client's identifier, returned with the answer.
        tensors: the inputs.
        outputs: names of the outputs asked for; None for all.
        binary: names of the outputs to return as binary data; None for all, empty for none.
    """

    id: str | None
    tensors: list[Tensor]
    outputs: list[str] | None
    binary: set[str] | None


_DECODER = msgspec.json.Decoder(_Request)
_LIST = msgspec.json.Decoder(list[Any])


def read_infer(data: bytes, json_length: int | None) -> InferRequest:
    """Read an infer request.

    Args:
        data: the body.
        json_length: value of `Inference-Header-Content-Length`; None for JSON alone.

    Raises:
        HTTPError: the body breaks the protocol.
    """
    request, rest = _open(data, json_length)
    return _whole(request, list(_tensors(request, rest)))


async def read_large(data: bytes, json_length: int | None) -> InferRequest:
    """Read an infer request as `read_infer` does; others are answered between its tensors."""
    request, rest = _open(data, json_length)
    tensors = []
    for tensor in _tensors(request, rest):
        tensors.append(tensor)
        await asyncio.sleep(0)
    return _whole(request, tensors)


def _open(data: bytes, json_length: int | None) -> tuple[_Request, memoryview]:
    """Return the request with its tensors unread, and the binary data behind it."""
    if json_length is not None and not 0 < json_length <= len(data):
        raise invalid(f"Inference-Header-Content-Length is {json_length} where the body has {len(data)} bytes")
    try:
        request = _DECODER.decode(data if json_length is None else memoryview(data)[:json_length])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"the body is not an infer request: {str(error)[:200]}") from error
    return request, memoryview(data)[json_length:] if json_length is not None else memoryview(b"")


def _whole(request: _Request, tensors: list[Tensor]) -> InferRequest:
    return InferRequest(request.id, tensors, _names(request.outputs), _binary(request))


def _tensors(request: _Request, rest: memoryview) -> Iterator[Tensor]:
    for item in request.inputs:
        tensor, rest = _tensor(item, rest)
        yield tensor
    # A wrong size of one tensor would shift all that follow, so a rest is an error.
    if len(rest):
        raise invalid(f"{len(rest)} bytes of binary data belong to no input")


def _tensor(item: _Input, rest: memoryview) -> tuple[Tensor, memoryview]:
    size = item.parameters.get("binary_data_size")
    # Only an absent field is empty: `null` has four bytes, and is refused as no list.
    has_data = bytes(item.data) != b""
    if size is None:
        if not has_data:
            raise invalid(f"{item.name}: neither data nor binary_data_size is given")
        flat = _flatten(_values(item), item)
        return Tensor(item.name, item.datatype, tuple(item.shape), flat), rest
    if has_data:
        raise invalid(f"{item.name}: both data and binary_data_size are given")
    # JSON's true would count as the size 1.
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise invalid(f"{item.name}: binary_data_size is {size!r} where {len(rest)} bytes are left")
    return binary_tensor(item.name, item.datatype, tuple(item.shape), rest[:size]), rest[size:]


def _values(item: _Input) -> list[Any]:
    try:
        return _LIST.decode(item.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"{item.name}: data is no list of values: {str(error)[:200]}") from error


def binary_tensor(name: str, datatype: str, shape: tuple[int, ...], data: memoryview) -> Tensor:
    """Read a tensor from the protocol's binary form: little-endian, row-major.

    Raises:
        HTTPError: the datatype is unknown, or the length does not fit it.
    """
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, _byte_strings(name, data))
    if datatype not in DTYPES:
        raise invalid(f"{name}: unknown datatype {datatype!r}; one of {', '.join(DTYPES)}, BYTES")
    dtype = np.dtype(DTYPES[datatype])
    if len(data) % dtype.itemsize:
        raise invalid(f"{name}: {len(data)} bytes are no whole number of {datatype} values")
    return Tensor(name, datatype, shape, np.frombuffer(data, dtype=dtype))


def _byte_strings(name: str, data: memoryview) -> list[Any]:
    texts: list[Any] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data) or at + 4 > len(data):
            raise invalid(f"{name}[{len(texts)}]: a text of {size} bytes goes beyond the binary data")
        texts.append(bytes(data[at + 4 : at + 4 + size]))
        at += 4 + size
    return texts


def _flatten(data: list[Any], item: _Input) -> list[Any]:
    """Return nested data as a flat list; ragged nesting leaves lists inside, which the reader refuses."""
    # Only as deep as the shape says: an element may itself be a list, which is an error of its own.
    depth = 1
    while data and depth < len(item.shape) and all(isinstance(part, list) for part in data):
        if any(len(part) != len(data[0]) for part in data):
            row = next(at for at, part in enumerate(data) if len(part) != len(data[0]))
            raise invalid(f"{item.name}[{row}]: {len(data[row])} values where row 0 has {len(data[0])}")
        data = [value for part in data for value in part]
        depth += 1
    return data


def _names(outputs: list[_Output] | None) -> list[str] | None:
    return [output.name for output in outputs] if outputs else None


def _binary(request: _Request) -> set[str] | None:
    # The request has a default, which each output may override.
    if request.parameters.get("binary_data_output") is True and not request.outputs:
        return None
    default = request.parameters.get("binary_data_output") is True
    return {o.name for o in request.outputs or [] if o.parameters.get("binary_data", default) is True}


def encode_binary(datatype: str, values: Any) -> bytes:
    """Return values in the protocol's binary form."""
    if datatype == "BYTES":
        texts = [str(value).encode() for value in values]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return np.asarray(values, dtype=DTYPES[datatype]).tobytes()
