"""Rows by name as a typed schema, decoded and checked in C."""

import math
import struct
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np

from almanac.core.arrays import Array
from almanac.model.columns import Columns
from almanac.model.json_rows import open_json_rows
from serving.features.records import Values

#: A number that float64 holds exactly, even if it was sent as an integer; larger ones go to the general reader.
_Number = Annotated[float, msgspec.Meta(gt=-(2.0**53), lt=2.0**53)]


class RowDecoder:
    """Decodes `{"instances": [{feature: value, …}, …]}` if every row has exactly the model's features.

    Compiled code reads the usual spelling, and msgspec any other, such as names with escapes: it checks names, numbers
    and nulls while it parses. A body of another form raises `msgspec.ValidationError`; `serving.features.records` then
    finds the form or names the fault. Only in the event loop's thread.
    """

    def __init__(self, columns: Columns) -> None:
        self._compiled = open_json_rows(columns)
        self._categories = [
            (columns.position[name], codes, frozenset(codes.values())) for name, codes in columns.codes.items()
        ]
        fields: list[tuple[str, Any]] = []
        rename: dict[str, str] = {}
        for index, name in enumerate(columns.names):
            kind: Any = _Number if name not in columns.categories else _Number | str
            # Feature names need not be identifiers.
            fields.append((f"c{index}", kind if name in columns.required else kind | None))
            rename[f"c{index}"] = name
        self._width = len(fields)
        # Decoded values form no cycles, so the garbage collector need not track the structs.
        row = msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, gc=False)
        body = msgspec.defstruct("Body", [("instances", list[row])], forbid_unknown_fields=True, gc=False)  # type: ignore[valid-type]
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._rows: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]

    def row(self, data: bytes | bytearray) -> Array | None:
        """Return the only row of a body (f,), which the next call overwrites; None for a body that `decode` reads."""
        return self._compiled.row(data) if self._compiled is not None else None

    def decode(self, data: bytes | bytearray) -> Array:
        """Return the rows of a body as a matrix (n, f), NaN for null; no rows where it has none.

        Raises:
            msgspec.ValidationError: the body is JSON of another form.
            msgspec.DecodeError: the body is not JSON.
        """
        rows = self._compiled.read(data) if self._compiled is not None else None
        return matrix(self._encoded(self._decoder.decode(data).instances), self._width) if rows is None else rows

    def part(self, data: bytes | bytearray) -> Array:
        """Return a list of rows, a piece of a body, as a matrix (n, f).

        Raises:
            msgspec.ValidationError: a row has another form, or there is none.
            msgspec.DecodeError: it is not JSON.
        """
        read = self._compiled.read(data, whole=False) if self._compiled is not None else None
        if read is not None:
            return read
        rows = self._rows.decode(data)
        if not rows:
            raise msgspec.ValidationError("no rows")
        return matrix(self._encoded(rows), self._width)

    def _encoded(self, structs: list[Any]) -> list[Values]:
        rows = [msgspec.structs.astuple(row) for row in structs]
        return [self._encode(row) for row in rows] if self._categories else rows

    def _encode(self, row: tuple[Any, ...]) -> Values:
        for at, codes, known in self._categories:
            value = row[at]
            if type(value) is str:
                if value not in codes:
                    raise msgspec.ValidationError(f"unknown category {value!r}")
                row = (*row[:at], codes[value], *row[at + 1 :])
            elif value is not None and value not in known:
                raise msgspec.ValidationError(f"unknown code {value!r}")
        return row


def matrix(rows: list[Values], width: int) -> Array:
    """Return rows of `width` values as float64 of shape (n, f), NaN for null."""
    # A third of the time that NumPy takes to look at each number by itself.
    pack = struct.Struct(f"{width}d").pack
    data = bytearray().join([_packed(pack, row) for row in rows])
    return np.frombuffer(data).reshape(len(rows), width)


def _packed(pack: Callable[..., bytes], row: Values) -> bytes:
    try:
        return pack(*row)
    except struct.error:  # there is a null
        return pack(*[math.nan if value is None else value for value in row])
