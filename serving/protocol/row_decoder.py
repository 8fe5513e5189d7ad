"""A request's rows as a typed schema, decoded and checked in C for the usual case."""

from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from almanac.model.columns import Columns
from serving.features.records import Values

Array = npt.NDArray[np.float64]

_Number = Annotated[float, msgspec.Meta(gt=-(2.0**53), lt=2.0**53)]
"""A number that was not rounded on its way to float64, even if it was an integer; larger ones are looked at as sent."""


class RowDecoder:
    """Decodes `{"instances": [{feature: value, …}, …]}` where every row names exactly the model's features.

    msgspec checks names, numbers and nulls while it parses, so that the usual request costs a microsecond. Any other
    body makes it raise `msgspec.ValidationError`; `serving.features.records` then finds the form or names the fault.
    """

    def __init__(self, columns: Columns) -> None:
        self._categories = [
            (columns.position[name], codes, frozenset(codes.values())) for name, codes in columns.codes.items()
        ]
        fields: list[tuple[str, Any]] = []
        rename: dict[str, str] = {}
        for index, name in enumerate(columns.names):
            kind: Any = _Number if name not in columns.categories else _Number | str
            fields.append((f"c{index}", kind if name in columns.required else kind | None))
            rename[f"c{index}"] = name
        row = msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, gc=False)
        body = msgspec.defstruct("Body", [("instances", list[row])], forbid_unknown_fields=True, gc=False)  # type: ignore[valid-type]
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._rows: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]

    def decode(self, data: bytes) -> list[Values]:
        """Return the rows in the order of the features.

        Raises:
            msgspec.ValidationError: the body is JSON of another form.
            msgspec.DecodeError: the body is not JSON.
        """
        rows = [msgspec.structs.astuple(row) for row in self._decoder.decode(data).instances]
        return [self._encode(row) for row in rows] if self._categories else rows

    def part(self, data: bytes) -> Array:
        """Return a list of rows, a part of the body's, as a matrix (n, f).

        Raises:
            msgspec.ValidationError: a row has another form, or there is none.
            msgspec.DecodeError: it is not JSON.
        """
        values = [msgspec.structs.astuple(row) for row in self._rows.decode(data)]
        if not values:
            raise msgspec.ValidationError("no rows")
        return matrix([self._encode(row) for row in values] if self._categories else values)

    def _encode(self, row: tuple[Any, ...]) -> Values:
        for place, codes, known in self._categories:
            value = row[place]
            if type(value) is str:
                if value not in codes:
                    raise msgspec.ValidationError(f"unknown category {value!r}")
                row = (*row[:place], codes[value], *row[place + 1 :])
            elif value is not None and value not in known:
                raise msgspec.ValidationError(f"unknown code {value!r}")
        return row


def matrix(rows: list[Values]) -> Array:
    """Return the rows as float64 of shape (n, f), NaN for null."""
    return np.array(rows, dtype=np.float64)
