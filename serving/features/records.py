"""V1 bodies: rows by name, ordered rows, column tables, and requests by entity or with their history.

{"instances": [{"temp": -4.0, "wind": "NW", …}, …]}                      rows by name
{"instances": [[-4.0, 2.0, …], …]}                                       rows in the model's order
{"inputs": {"temp": [-4.0, …], "wind": ["NW", …], …}}                    a table by columns
{"instances": [{"entity": "station", "time": "2014-01-01T00:00:00"}]}    history from the feature store
{"instances": [{"time": "2014-01-01T00:00:00", "history": {"temp": […], …}}]}
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from almanac.model.columns import Columns
from serving.features.values import cell, check_names, kind, listed
from serving.runtime.errors import invalid

Array = npt.NDArray[np.float64]
Values = tuple[float | None, ...]
"""One row in the order of the features, None for missing."""


@dataclass(frozen=True, slots=True)
class EntityRequest:
    """A row whose features are computed here.

    Attributes:
        place: where it stands in the request, for messages.
        entity: name of the entity, or None.
        time: the prediction time as sent.
        history: raw columns as sent; None when the feature store has them.
    """

    place: str
    entity: str | None
    time: Any
    history: Any


_ANY = msgspec.json.Decoder()
_MOMENT_KEYS = {"entity", "time", "history"}


def parse(data: bytes) -> dict[str, Any]:
    """Return the JSON object that the body is.

    Raises:
        HTTPError: not JSON (a NaN literal is not), or not an object.
    """
    try:
        value = _ANY.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"the body is not JSON: {_reason(error)}") from error
    if not isinstance(value, dict):
        raise invalid(f"the body is {kind(value)}; expected an object with instances or inputs")
    return value


def read(body: dict[str, Any], columns: Columns) -> Array | list[EntityRequest]:
    """Return the rows as a matrix (n, f), or the moments whose features are to be computed.

    Raises:
        HTTPError: the body breaks a rule; the message names row and column.
    """
    extra = sorted(set(body) - {"instances", "inputs", "parameters"})
    if extra:
        raise invalid(f"unknown field {extra[0]}; expected instances or inputs")
    if ("instances" in body) == ("inputs" in body):
        raise invalid("expected exactly one of instances (rows) and inputs (columns)")
    if "inputs" in body:
        return read_table(body["inputs"], columns)
    rows = body["instances"]
    if not isinstance(rows, list):
        raise invalid(f"instances: {kind(rows)}; expected a list of rows")
    if not rows:
        raise invalid("instances: empty; expected at least one row")
    return read_rows(rows, columns)


def read_rows(rows: list[Any], columns: Columns, first: int = 0) -> Array | list[EntityRequest]:
    """Return rows of whatever form, as `read` does; `first` is the place of the first one in the request."""
    if all(_is_moment(row, columns) for row in rows):
        return [_moment(row, f"instances[{index}]") for index, row in enumerate(rows, first)]
    return np.array([_row(row, columns, f"instances[{index}]") for index, row in enumerate(rows, first)])


def _is_moment(row: Any, columns: Columns) -> bool:
    return isinstance(row, dict) and not _MOMENT_KEYS.isdisjoint(row.keys() - columns.known)


def _moment(row: dict[str, Any], place: str) -> EntityRequest:
    extra = sorted(row.keys() - _MOMENT_KEYS)
    if extra:
        raise invalid(f"{place}: unknown field {extra[0]}; a row by time has entity, time and history")
    if "time" not in row:
        raise invalid(f"{place}: missing field time")
    entity = row.get("entity")
    if entity is not None and not isinstance(entity, str):
        raise invalid(f"{place}.entity: {kind(entity)}; expected text")
    if entity is None and "history" not in row:
        raise invalid(f"{place}: give an entity whose history is in the feature store, or the history itself")
    return EntityRequest(place, entity, row["time"], row.get("history"))


def _row(row: Any, columns: Columns, place: str) -> list[float]:
    if isinstance(row, dict):
        check_names(row, columns.names, place)
        return [cell(columns, name, row[name], f"{place}.{name}") for name in columns.names]
    if isinstance(row, list):
        check_width(row, columns, place)
        return [
            cell(columns, name, value, f"{place}[{at}] ({name})")
            for at, (name, value) in enumerate(zip(columns.names, row, strict=True))
        ]
    raise invalid(f"{place}: {kind(row)}; expected an object of columns, or a list of {len(columns.names)} values")


def check_width(row: Sequence[Any], columns: Columns, place: str) -> None:
    """Raise a HTTPError unless an ordered row has one value for each feature."""
    wanted = columns.names
    if len(row) < len(wanted):
        missing = listed(list(wanted[len(row) :]))
        raise invalid(f"{place}: {len(row)} values where the model takes {len(wanted)}; missing column {missing}")
    if len(row) > len(wanted):
        raise invalid(f"{place}: {len(row)} values where the model takes {len(wanted)}")


def read_table(table: Any, columns: Columns) -> Array:
    """Return a table by columns as a matrix (n, f).

    Numbers may be there as arrays, NaN for null. The columns are used up one by one, not all freed at the end.

    Raises:
        HTTPError: the table breaks a rule; the message names row and column.
    """
    if not isinstance(table, dict):
        raise invalid(f"inputs: {kind(table)}; expected an object of columns")
    check_names(table, columns.names, "inputs")
    lengths = {name: _length(table[name], name) for name in columns.names}
    count = lengths[columns.names[0]]
    for name, length in lengths.items():
        if length != count:
            raise invalid(f"inputs.{name}: {length} values where {columns.names[0]} has {count}")
    if not count:
        raise invalid("inputs: empty; expected at least one row")
    X = np.empty((count, len(columns.names)))
    for place, name in enumerate(columns.names):
        X[:, place] = _column(table.pop(name), name, columns)
    return X


def _column(values: Any, name: str, columns: Columns) -> Array | list[float]:
    if isinstance(values, np.ndarray):
        if np.isfinite(values).all() or (name not in columns.required and not np.isinf(values).any()):
            return values
        values = [None if value != value else value for value in values.tolist()]
    return [cell(columns, name, value, f"inputs.{name}[{at}]") for at, value in enumerate(values)]


def _length(values: Any, name: str) -> int:
    if not isinstance(values, list | np.ndarray):
        raise invalid(f"inputs.{name}: {kind(values)}; expected a list of values")
    return len(values)


def _reason(error: Exception) -> str:
    text = str(error)
    return text if len(text) < 200 else text[:200]
