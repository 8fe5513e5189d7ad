"""V2 infer requests over HTTP, in JSON and in JSON followed by binary tensors."""

import asyncio
import math
import re
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from serving.protocol.json_lists import LONGEST, Lists, items, number_of
from serving.protocol.tensors import DTYPES, Tensor, plain_numbers
from serving.runtime.bounds import Bounds
from serving.runtime.errors import invalid
from serving.runtime.json_errors import MALFORMED, UnfitError, malformed

#: Bytes up to which a body is read at once.
SMALL = 64 << 10
_DATA = re.compile(rb'"data"\s*:\s*\[')


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


def read_infer(data: bytes, json_length: int | None, bounds: Bounds) -> InferRequest:
    """Read an infer request.

    Args:
        data: the body.
        json_length: value of `Inference-Header-Content-Length`; None for JSON alone.
        bounds: the bounds on rows and values.

    Raises:
        HTTPError: the body breaks the protocol.
    """
    head, rest = _split(data, json_length)
    request = _open(head)
    tensors = []
    for item in request.inputs:
        values = _listed(item) if bytes(item.data) != b"" else None
        tensor, rest = _tensor(item, values, rest, bounds)
        tensors.append(tensor)
    return _whole(request, tensors, rest)


async def read_large(data: bytes, json_length: int | None, bounds: Bounds) -> InferRequest:
    """Read an infer request as `read_infer` does; others are answered between the pieces of its lists."""
    try:
        return await _read_lists(data, json_length, bounds)
    except UnfitError:
        # At this size a decoder is done in milliseconds, and what it says names the fault better.
        if (json_length or len(data)) > LONGEST:
            raise
    return read_infer(data, json_length, bounds)


async def _read_lists(data: bytes, json_length: int | None, bounds: Bounds) -> InferRequest:
    head, rest = _split(data, json_length)
    lists = Lists(head, _DATA, bounds)
    values: list[_Values] = []
    async for number, piece in lists.read():
        if number == len(values):
            values.append(_Values(number))
        values[number].add(piece)
    request = _open(lists.skeleton)
    tensors = []
    for item in request.inputs:
        tensor, rest = _tensor(item, _extracted(item, values), rest, bounds)
        tensors.append(tensor)
        await asyncio.sleep(0)
    return _whole(request, tensors, rest)


class _Values:
    """The values of one list, gathered piece by piece."""

    def __init__(self, number: int) -> None:
        self._where = f"data of input {number}"
        self._parts: list[Any] = []
        self._items = 0
        self.sides: tuple[int, ...] = ()

    def add(self, piece: bytes) -> None:
        """Add the items of a piece."""
        found = items(piece, self._where, self._items)
        flat, sides = flatten(found, self._where, self._items)
        if self._items and found and sides != self.sides:
            raise invalid(f"{self._where}[{self._items}]: {_side(sides)} values where row 0 has {_side(self.sides)}")
        self.sides = sides if found else self.sides
        self._items += len(found)
        kinds = set(map(type, flat))
        numbers = plain_numbers(flat) if flat and kinds <= {float, int, type(None)} else None
        self._parts.append(flat if numbers is None else numbers)

    def joined(self) -> Any:
        """Return all values: an array of plain numbers, or a list."""
        if self._parts and all(isinstance(part, np.ndarray) for part in self._parts):
            return np.concatenate(self._parts)
        lists = [part if isinstance(part, list) else with_nulls(part) for part in self._parts]
        return list(chain.from_iterable(lists))


def with_nulls(part: npt.NDArray[np.float64]) -> list[float | None]:
    """Return an array as a list, None for NaN."""
    return [None if value != value else value for value in part.tolist()]


def _side(sides: tuple[int, ...]) -> int:
    return sides[0] if sides else 0


def _split(data: bytes, json_length: int | None) -> tuple[bytes, memoryview]:
    """Return the JSON, and the binary data behind it."""
    if json_length is None:
        return data, memoryview(b"")
    if not 0 < json_length <= len(data):
        raise invalid(f"Inference-Header-Content-Length is {json_length} where the body has {len(data)} bytes")
    return data[:json_length], memoryview(data)[json_length:]


def _open(head: bytes) -> _Request:
    """Return the request with its tensors unread."""
    try:
        return _DECODER.decode(head)
    except MALFORMED as error:
        raise malformed(error, head, "", 0, "the body") from error


def _whole(request: _Request, tensors: list[Tensor], rest: memoryview) -> InferRequest:
    # A wrong size of one tensor would shift all that follow, so a rest is an error.
    if len(rest):
        raise invalid(f"{len(rest)} bytes of binary data belong to no input")
    return InferRequest(request.id, tensors, _names(request.outputs), _binary(request))


def _tensor(item: _Input, values: Any, rest: memoryview, bounds: Bounds) -> tuple[Tensor, memoryview]:
    """Return an input, whose JSON values are given, None if it has none, and the binary data behind its own."""
    size, shape = item.parameters.get("binary_data_size"), tuple(item.shape)
    if size is None:
        if values is None:
            raise invalid(f"{item.name}: neither data nor binary_data_size is given")
        return Tensor(item.name, item.datatype, shape, values), rest
    if values is not None:
        raise invalid(f"{item.name}: both data and binary_data_size are given")
    # JSON's true would count as the size 1.
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise invalid(f"{item.name}: binary_data_size is {size!r} where {len(rest)} bytes are left")
    return binary_tensor(item.name, item.datatype, shape, rest[:size], bounds), rest[size:]


def _listed(item: _Input) -> list[Any]:
    try:
        data = _LIST.decode(item.data)
    except MALFORMED as error:
        raise malformed(error, bytes(item.data), item.name, 0, f"{item.name}: data") from error
    flat, sides = flatten(data, item.name, 0)
    _check_depth(item, sides)
    return flat


def _extracted(item: _Input, values: list[_Values]) -> Any:
    """Return the values of an input of a skeleton, None if it has none."""
    if bytes(item.data) == b"":
        return None
    number = number_of(msgspec.json.decode(item.data))
    if number is None:
        return _listed(item)
    _check_depth(item, values[number].sides)
    return values[number].joined()


def _check_depth(item: _Input, sides: tuple[int, ...]) -> None:
    if len(sides) >= max(1, len(item.shape)):
        raise invalid(f"{item.name}[0]: a list; data is a flat list or nested as the shape says")


def flatten(data: list[Any], location: str, first: int) -> tuple[list[Any], tuple[int, ...]]:
    """Return nested data as a flat list, and the lengths of the inner lists.

    Args:
        data: a list of values, of lists of values, and so on.
        location: path of the whole list, for messages.
        first: position of the first item in it.

    Raises:
        HTTPError: lists of different lengths beside each other.
    """
    sides: list[int] = []
    while data and set(map(type, data)) == {list}:
        lengths = set(map(len, data))
        if len(lengths) > 1:
            row = next(at for at, part in enumerate(data) if len(part) != len(data[0]))
            message = f"{len(data[row])} values where row {first} has {len(data[0])}"
            raise invalid(f"{location}[{first + row}]: {message}")
        sides += lengths
        data = list(chain.from_iterable(data))
    return data, tuple(sides)


def binary_tensor(name: str, datatype: str, shape: tuple[int, ...], data: memoryview, bounds: Bounds) -> Tensor:
    """Read a tensor from the protocol's binary form: little-endian, row-major.

    Raises:
        HTTPError: the datatype is unknown, or the length does not fit it.
    """
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, _byte_strings(name, shape, data, bounds))
    if datatype not in DTYPES:
        raise invalid(f"{name}: unknown datatype {datatype!r}; one of {', '.join(DTYPES)}, BYTES")
    # As bytes: NumPy would take any byte but zero as true.
    dtype = np.dtype("u1" if datatype == "BOOL" else DTYPES[datatype])
    if len(data) % dtype.itemsize:
        raise invalid(f"{name}: {len(data)} bytes are no whole number of {datatype} values")
    return Tensor(name, datatype, shape, np.frombuffer(data, dtype=dtype))


def _byte_strings(name: str, shape: tuple[int, ...], data: memoryview, bounds: Bounds) -> list[Any]:
    texts: list[Any] = []
    # No more are read than the shape says, however many there are: an empty one takes four bytes.
    count = math.prod(shape)
    bounds.check_rows(count)
    at, end = 0, len(data)
    while at < end:
        if len(texts) >= count:
            raise invalid(f"{name}: more texts than the {count} of shape {list(shape)}")
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > end:
            raise invalid(f"{name}[{len(texts)}]: a text of {size} bytes goes beyond the binary data")
        texts.append(bytes(data[at + 4 : at + 4 + size]))
        at += 4 + size
    return texts


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
