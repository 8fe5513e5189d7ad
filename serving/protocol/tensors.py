"""Open Inference Protocol tensors, from JSON, from binary data or from gRPC, to a matrix in the model's order."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.model.columns import Columns
from serving.features.records import EntityRequest, Instances
from serving.features.values import category, check_names, code_list, exact_float, json_type, number, shortened
from serving.runtime.errors import HTTPError, invalid

#: Returns the path of the value at a position.
Location = Callable[[int], str]

#: Little-endian NumPy types of the protocol's datatypes, but for BYTES.
DTYPES: dict[str, str] = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip

_WHOLE = {name: np.iinfo(dtype) for name, dtype in DTYPES.items() if np.dtype(dtype).kind in "iu"}
_NARROW: dict[str, type[np.floating[Any]]] = {"FP16": np.float16, "FP32": np.float32}
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
        data: flat list of JSON values or texts, or a flat NumPy array; JSON numbers may be float64, NaN for null.
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
    if codes is not None and tensor.datatype == "BYTES":
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
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise invalid(f"{location}: {shortened(text)} is {json_type(text)}; BYTES are texts")
    return category(codes, text, location)


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


def _numbers(tensor: Tensor, location: Location) -> Array:
    """Return values as float64, each of the domain of its datatype, however it was sent."""
    if tensor.datatype == "BYTES":
        raise invalid(f"{tensor.name}: BYTES where numbers are expected; send FP64")
    data = tensor.data
    if isinstance(data, list):
        data = _json_values(tensor.datatype, data, location)
    if tensor.datatype == "BOOL":
        return _truth(data, location)
    if tensor.datatype in _WHOLE:
        return _whole(tensor.datatype, data, location)
    return _rounded(tensor.datatype, _finite(data.astype(np.float64), location), location)


def _json_values(datatype: str, data: list[Any], location: Location) -> npt.NDArray[Any]:
    kinds = set(map(type, data))
    if datatype == "BOOL" and kinds == {bool}:
        return np.array(data, dtype=np.bool_)
    # The usual case in C; anything else value by value, for the message that names it.
    if kinds <= {float, int, type(None)} and (values := plain_numbers(data)) is not None:
        return values
    return np.array([_json_number(datatype, value, location(at)) for at, value in enumerate(data)], dtype=np.float64)


def plain_numbers(values: list[Any]) -> Array | None:
    """Return a list of numbers and None as float64, NaN for None; None where float64 would round an integer."""
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    return None if (np.abs(array) >= _EXACT).any() and int in set(map(type, values)) else array


def _json_number(datatype: str, value: Any, location: str) -> float:
    if isinstance(value, list):
        raise invalid(f"{location}: {json_type(value)}; data is a flat list or nested as the shape says")
    if datatype == "BOOL":
        if isinstance(value, bool):
            return float(value)
        raise _no_truth(value, location)
    if datatype in _NARROW and type(value) is int:
        try:
            return float(value)  # rounded, as every number of this datatype is
        except OverflowError:
            raise invalid(f"{location}: {shortened(value)} is beyond {datatype}") from None
    bounds = _WHOLE.get(datatype)
    if bounds is not None and type(value) is int and not bounds.min <= value <= bounds.max:
        raise _beyond(datatype, value, location)
    return number(value, location)


def _truth(data: npt.NDArray[Any], location: Location) -> Array:
    # Only a byte can be a truth value beside those of JSON and gRPC.
    odd = np.zeros(len(data), dtype=np.bool_) if data.dtype.kind == "b" else data > 1
    if data.dtype.kind == "f":
        odd = np.ones(len(data), dtype=np.bool_)
    if odd.any():
        at = int(odd.argmax())
        raise _no_truth(data[at].item(), location(at))
    return data.astype(np.float64)


def _no_truth(value: Any, location: str) -> HTTPError:
    text = "null" if value is None or value != value else shortened(value)
    return invalid(f"{location}: {text} is not a BOOL, which is true or false")


def _whole(datatype: str, data: npt.NDArray[Any], location: Location) -> Array:
    """Return integers; refuse those outside of their datatype, such as 300 as INT8, or that float64 would round."""
    bounds = _WHOLE[datatype]
    if data.dtype.kind == "f" and (odd := data != np.trunc(data)).any():
        at = int(odd.argmax())
        text = "null" if np.isnan(data[at]) else f"{data[at]:g}"
        raise invalid(f"{location(at)}: {text} is not an {datatype}; send FP64 for fractions and missing values")
    if data.dtype != DTYPES[datatype] and (odd := (data < bounds.min) | (data > bounds.max)).any():
        at = int(odd.argmax())
        raise _beyond(datatype, int(data[at]), location(at))
    if data.dtype.kind in "iu" and data.dtype.itemsize == 8:
        # Beyond 2**53 some integers are still exact, so each is checked by itself.
        for place in np.flatnonzero((data > _EXACT) | (data < -_EXACT if data.dtype.kind == "i" else False)):
            exact_float(int(data[place]), location(int(place)))
    return data.astype(np.float64)


def _beyond(datatype: str, value: Any, location: str) -> HTTPError:
    bounds = _WHOLE[datatype]
    return invalid(
        f"{location}: {shortened(value)} is not an {datatype}, which reaches from {bounds.min} to {bounds.max}"
    )


def _rounded(datatype: str, values: Array, location: Location) -> Array:
    """Return numbers as their datatype holds them, so that JSON gives the answer that binary data give."""
    narrow = _NARROW.get(datatype)
    if narrow is None:
        return values
    with np.errstate(over="ignore"):
        held = values.astype(narrow).astype(np.float64)
    if (odd := np.isinf(held)).any():
        at = int(odd.argmax())
        raise invalid(f"{location(at)}: {values[at]:g} is beyond {datatype}, which reaches to {np.finfo(narrow).max:g}")
    return held


def _finite(values: Array, location: Location) -> Array:
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
    if not isinstance(tensor.data, list):
        raise invalid(f"{tensor.name}: numbers; expected BYTES")
    texts = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in tensor.data]
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise invalid(f"{tensor.name}[{at}]: {json_type(text)}; expected text")
    return texts
