"""Open Inference Protocol tensors, from JSON, from binary data or from gRPC, to a matrix in the model's order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.model.columns import Columns
from serving.features.records import EntityRequest, Instances
from serving.features.values import category, check_names, code_list, exact_float, json_type, number, shortened
from serving.runtime.errors import HTTPError, invalid

Array = npt.NDArray[np.float64]

#: Little-endian NumPy types of the protocol's datatypes, but for BYTES.
DTYPES: dict[str, str] = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip

_WHOLE = {name: np.iinfo(dtype) for name, dtype in DTYPES.items() if np.dtype(dtype).kind in "iu"}
#: Up to here float64 holds every integer.
_EXACT = 2**53
_ENTITY_INPUTS = {"entity", "time"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input.

    Attributes:
        name: name of the feature, or any name for the one matrix of ordered rows.
        datatype: as the protocol writes it.
        shape: as sent.
        data: flat list of JSON values or texts, or a flat NumPy array.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any] | npt.NDArray[Any]


def read(tensors: Sequence[Tensor], columns: Columns) -> Instances:
    """Return the instances of tensors.

    Raises:
        HTTPError: the tensors do not fit the model or each other; the message names tensor and row.
    """
    if not tensors:
        raise invalid("inputs: empty; expected one tensor a column")
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise invalid(f"inputs: the tensor {double} is given twice")
    for tensor in tensors:
        _check_size(tensor)
    if set(names) == _ENTITY_INPUTS and not _ENTITY_INPUTS & set(columns.names):
        return _entity_requests({tensor.name: tensor for tensor in tensors})
    # One tensor of a feature's name is a column, even if the model has one feature only.
    if len(tensors) == 1 and names[0] not in columns.position:
        return _matrix(tensors[0], columns)
    return _columns({tensor.name: tensor for tensor in tensors}, columns)


def _check_size(tensor: Tensor) -> None:
    if tensor.datatype not in DTYPES and tensor.datatype != "BYTES":
        raise invalid(f"{tensor.name}: unknown datatype {tensor.datatype!r}; one of {', '.join(DTYPES)}, BYTES")
    if any(side < 0 for side in tensor.shape) or not tensor.shape:
        raise invalid(f"{tensor.name}: shape {list(tensor.shape)}; expected lengths of at least 0")
    size = math.prod(tensor.shape)
    if size != len(tensor.data):
        raise invalid(f"{tensor.name}: {len(tensor.data)} values where shape {list(tensor.shape)} has {size}")


def _columns(tensors: dict[str, Tensor], columns: Columns) -> Array:
    check_names(tensors, columns.names, "inputs")
    first = tensors[columns.names[0]]
    for name in columns.names:
        shape = tensors[name].shape
        if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            raise invalid(f"{name}: shape {list(shape)}; a column has shape [n] or [n, 1]")
        if shape[0] != first.shape[0]:
            raise invalid(f"{name}: {shape[0]} rows where {first.name} has {first.shape[0]}")
    if not first.shape[0]:
        raise invalid("inputs: no rows; expected at least one")
    return np.column_stack([_values(tensors[name], columns) for name in columns.names])


def _matrix(tensor: Tensor, columns: Columns) -> Array:
    width = len(columns.names)
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        raise invalid(
            f"{tensor.name}: shape {list(tensor.shape)}; expected [n, {width}] for ordered rows, or one tensor a column"
        )
    if not tensor.shape[0]:
        raise invalid(f"{tensor.name}: no rows; expected at least one")
    # All numbers at once; then only the columns that have rules of their own.
    flat = _numbers(tensor, lambda at: f"{tensor.name}[{at // width}, {at % width}] ({columns.names[at % width]})")
    X = flat.reshape(tensor.shape[0], width)
    for name in [*columns.required, *columns.categories]:
        _check_column(X[:, columns.position[name]], name, columns)
    return np.ascontiguousarray(X)


def _values(tensor: Tensor, columns: Columns) -> Array:
    codes = columns.codes.get(tensor.name)
    if codes is not None and (tensor.datatype == "BYTES" or isinstance(tensor.data, list)):
        values = [_code(codes, value, f"{tensor.name}[{at}]") for at, value in enumerate(tensor.data)]
        result = np.array(values, dtype=np.float64)
    else:
        result = _numbers(tensor, lambda at: f"{tensor.name}[{at}]")
    _check_column(result, tensor.name, columns)
    return result


def _code(codes: dict[str, float], value: Any, location: str) -> float:
    if value is None:
        return math.nan
    # Text that is not UTF-8 then matches no category, and the message can show it.
    return category(codes, value.decode(errors="replace") if isinstance(value, bytes) else value, location)


def _check_column(values: Array, name: str, columns: Columns) -> None:
    missing = np.isnan(values)
    if name in columns.required and missing.any():
        raise invalid(f"{name}[{int(missing.argmax())}]: missing, but {name} must have a value")
    if name in columns.codes:
        odd = ~missing & ~np.isin(values, list(columns.codes[name].values()))
        if odd.any():
            at = int(odd.argmax())
            raise invalid(
                f"{name}[{at}]: {values[at]:g} is not a category code; one of {code_list(columns.codes[name])}"
            )


def _numbers(tensor: Tensor, location: Any) -> Array:
    if tensor.datatype == "BYTES":
        raise invalid(f"{tensor.name}: BYTES where numbers are expected; send FP64")
    data = tensor.data
    if isinstance(data, list):
        # The usual case in C; anything else value by value, for the message that names it.
        if set(map(type, data)) <= {float} and tensor.datatype not in _WHOLE:
            return _finite(np.array(data, dtype=np.float64), location)
        return np.array([_json_number(tensor, value, location(at)) for at, value in enumerate(data)], dtype=np.float64)
    if data.dtype.kind in "iu":
        _check_whole(tensor.datatype, data, location)
    return _finite(data.astype(np.float64), location)


def _check_whole(datatype: str, data: npt.NDArray[Any], location: Any) -> None:
    """Refuse integers outside of their datatype, such as 300 as INT8, or that float64 would round."""
    if datatype in _WHOLE and data.dtype != DTYPES[datatype]:
        bounds = _WHOLE[datatype]
        odd = (data < bounds.min) | (data > bounds.max)
        if odd.any():
            first = int(odd.argmax())
            raise _beyond(datatype, int(data[first]), location(first))
    if data.dtype.itemsize == 8:
        # Beyond 2**53 some integers are still exact, so each is checked by itself.
        for at in np.flatnonzero((data > _EXACT) | (data < -_EXACT if data.dtype.kind == "i" else False)):
            exact_float(int(data[at]), location(int(at)))


def _beyond(datatype: str, value: Any, location: str) -> HTTPError:
    bounds = _WHOLE[datatype]
    return invalid(
        f"{location}: {shortened(value)} is not an {datatype}, which reaches from {bounds.min} to {bounds.max}"
    )


def _json_number(tensor: Tensor, value: Any, location: str) -> float:
    if isinstance(value, bool) and tensor.datatype == "BOOL":
        return float(value)
    if isinstance(value, list):
        raise invalid(f"{location}: {json_type(value)}; data is a flat list or nested as the shape says")
    bounds = _WHOLE.get(tensor.datatype)
    if bounds is not None and type(value) in (int, float) and not bounds.min <= value <= bounds.max:
        raise _beyond(tensor.datatype, value, location)
    return number(value, location)


def _finite(values: Array, location: Any) -> Array:
    infinite = np.isinf(values)
    if infinite.any():
        at = int(infinite.argmax())
        raise invalid(f"{location(at)}: {values[at]} is not a finite number")
    return values


def _entity_requests(tensors: dict[str, Tensor]) -> list[EntityRequest]:
    entities, times = (_texts(tensors[name]) for name in ("entity", "time"))
    if len(entities) != len(times) or not times:
        raise invalid(f"time: {len(times)} rows where entity has {len(entities)}; expected one of each for a row")
    pairs = zip(entities, times, strict=True)
    return [EntityRequest(f"inputs[{at}]", entity, time, None) for at, (entity, time) in enumerate(pairs)]


def _texts(tensor: Tensor) -> list[str]:
    if tensor.datatype != "BYTES":
        raise invalid(f"{tensor.name}: {tensor.datatype}; expected BYTES")
    texts = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in tensor.data]
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise invalid(f"{tensor.name}[{at}]: {json_type(text)}; expected text")
    return texts
