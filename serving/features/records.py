"""V1 bodies: rows by name, ordered rows, column tables, and requests by entity or with their history.

{"instances": [{"temp": -4.0, "wind": "NW", …}, …]}                      rows by name
{"instances": [[-4.0, 2.0, …], …]}                                       rows in the model's order
{"inputs": {"temp": [-4.0, …], "wind": ["NW", …], …}}                    a table by columns
{"instances": [{"entity": "station", "time": "2014-01-01T00:00:00"}]}    history from the feature store
{"instances": [{"time": "2014-01-01T00:00:00", "history": {"temp": […], …}}]}
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from almanac.core.arrays import Array
from almanac.model.columns import Columns
from serving.features.values import check_names, feature_value, json_type, name_list
from serving.runtime.errors import invalid
from serving.runtime.json_errors import MALFORMED, malformed

#: One row in the order of the features, None for missing.
Values = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class EntityRequest:
    """A row whose features the server computes.

    Attributes:
        location: its path in the request, for messages.
        entity: name of the entity, or None.
        time: the prediction time as sent.
        history: raw columns as sent; None if the feature store has them.
        event: of an event, its columns that are known before it, as sent.
        prices: prices of both sides of its outcome, or the price asked, as sent.
    """

    location: str
    entity: str | None
    time: Any
    history: Any
    event: Any = None
    prices: Any = None


#: The instances of a request: features (n, f), or requests whose features the server computes.
Instances = Array | list[EntityRequest]

_ANY = msgspec.json.Decoder()
_ENTITY_FIELDS = {"entity", "time", "history", "event", "prices"}


def parse(data: bytes) -> dict[str, Any]:
    """Parse a body as a JSON object.

    Raises:
        HTTPError: not JSON (a NaN literal is not), or not an object.
    """
    try:
        value = _ANY.decode(data)
    except MALFORMED as error:
        raise malformed(error, data, "", 0, "the body") from error
    if not isinstance(value, dict):
        raise invalid(f"the body is {json_type(value)}; expected an object with instances or inputs")
    return value


def read(body: dict[str, Any], columns: Columns) -> Instances:
    """Return the instances of a parsed body.

    Raises:
        HTTPError: the body breaks a rule; the message names row and column.
    """
    unknown = sorted(set(body) - {"instances", "inputs", "parameters"})
    if unknown:
        raise invalid(f"unknown field {unknown[0]}; expected instances or inputs")
    if ("instances" in body) == ("inputs" in body):
        raise invalid("expected exactly one of instances (rows) and inputs (columns)")
    if "inputs" in body:
        return read_table(body["inputs"], columns)
    rows = body["instances"]
    if not isinstance(rows, list):
        raise invalid(f"instances: {json_type(rows)}; expected a list of rows")
    if not rows:
        raise invalid("instances: empty; expected at least one row")
    return read_rows(rows, columns)


def read_rows(rows: list[Any], columns: Columns, first: int = 0) -> Instances:
    """Return the instances of parsed rows in any form; `first` is the position of the first one in the request."""
    # In a mixture, the rows by entity are read as rows by name, whose message names the first of them.
    if all(_is_entity_request(row, columns) for row in rows):
        return [_entity_request(row, f"instances[{index}]") for index, row in enumerate(rows, first)]
    matrix = _ordered(rows, columns)
    if matrix is not None:
        return matrix
    return np.array([_row(row, columns, f"instances[{index}]") for index, row in enumerate(rows, first)])


def _ordered(rows: list[Any], columns: Columns) -> Array | None:
    """Return ordered rows of plain numbers at once; None for any others, which are read value by value."""
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {len(columns.names)} or columns.categories:
        return None
    kinds = set(map(type, chain.from_iterable(rows)))
    if kinds != {float} and (columns.required or kinds != {float, type(None)}):
        return None
    return np.array(rows, dtype=np.float64)


def _is_entity_request(row: Any, columns: Columns) -> bool:
    # A feature may be named like one of the fields.
    return isinstance(row, dict) and not _ENTITY_FIELDS.isdisjoint(row.keys() - columns.known)


def _entity_request(row: dict[str, Any], location: str) -> EntityRequest:
    unknown = sorted(row.keys() - _ENTITY_FIELDS)
    if unknown:
        raise invalid(f"{location}: unknown field {unknown[0]}; a row by time has {', '.join(sorted(_ENTITY_FIELDS))}")
    if "time" not in row:
        raise invalid(f"{location}: missing field time")
    entity = row.get("entity")
    if entity is not None and not isinstance(entity, str):
        raise invalid(f"{location}.entity: {json_type(entity)}; expected text")
    if entity is None and "history" not in row:
        raise invalid(f"{location}: give an entity whose history is in the feature store, or the history itself")
    return EntityRequest(location, entity, row["time"], row.get("history"), row.get("event"), row.get("prices"))


def _row(row: Any, columns: Columns, location: str) -> list[float]:
    if isinstance(row, dict):
        check_names(row, columns.names, location)
        return [feature_value(columns, name, row[name], f"{location}.{name}") for name in columns.names]
    if isinstance(row, list):
        _check_width(row, columns, location)
        return [
            feature_value(columns, name, value, f"{location}[{at}] ({name})")
            for at, (name, value) in enumerate(zip(columns.names, row, strict=True))
        ]
    message = f"expected an object of columns, or a list of {len(columns.names)} values"
    raise invalid(f"{location}: {json_type(row)}; {message}")


def _check_width(row: Sequence[Any], columns: Columns, location: str) -> None:
    width, expected = len(row), len(columns.names)
    if width != expected:
        message = f"{location}: {width} values where the model takes {expected}"
        absent = f"; missing column {name_list(list(columns.names[width:]))}" if width < expected else ""
        raise invalid(message + absent)


def read_table(table: Any, columns: Columns) -> Array:
    """Return a table by columns as a matrix (n, f).

    Columns may be NumPy arrays, NaN for null. Each is removed from `table` when it is read, to free its memory early.

    Raises:
        HTTPError: the table breaks a rule; the message names row and column.
    """
    if not isinstance(table, dict):
        raise invalid(f"inputs: {json_type(table)}; expected an object of columns")
    check_names(table, columns.names, "inputs")
    lengths = {name: _length(table[name], name) for name in columns.names}
    count = lengths[columns.names[0]]
    for name, length in lengths.items():
        if length != count:
            raise invalid(f"inputs.{name}: {length} values where {columns.names[0]} has {count}")
    if not count:
        raise invalid("inputs: empty; expected at least one row")
    X = np.empty((count, len(columns.names)))
    for at, name in enumerate(columns.names):
        X[:, at] = _column(table.pop(name), name, columns)
    return X


def _column(values: Any, name: str, columns: Columns) -> Array | list[float]:
    if isinstance(values, np.ndarray):
        if np.isfinite(values).all() or (name not in columns.required and not np.isinf(values).any()):
            return values
        # As a list again, for the message that names the row.
        values = [None if value != value else value for value in values.tolist()]
    return [feature_value(columns, name, value, f"inputs.{name}[{at}]") for at, value in enumerate(values)]


def _length(values: Any, name: str) -> int:
    if not isinstance(values, list | np.ndarray):
        raise invalid(f"inputs.{name}: {json_type(values)}; expected a list of values")
    return len(values)
