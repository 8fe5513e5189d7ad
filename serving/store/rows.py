"""Rows of numbers as MessagePack: NaN is nil, anything else a float64."""

from collections.abc import Sequence
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

NIL = b"\xc0"
"""What stands for a row that is not there."""


def pack_row(row: Array) -> bytes:
    """Return one row (k,) as MessagePack."""
    values: list[float | None] = [None if value != value else value for value in row.tolist()]
    packed: bytes = msgpack.packb(values)
    return packed


def unpack_rows(packed: Sequence[bytes | None], width: int) -> Array:
    """Return rows as an array of shape (k, n), all NaN where a row is None."""
    return unpack_stream(b"".join(row or NIL for row in packed), len(packed), width)


def unpack_stream(data: bytes, count: int, width: int) -> Array:
    """Return `count` rows that stand one behind the other as an array of shape (k, n).

    Raises:
        ValueError: other data, or rows of another width.
    """
    rows: list[list[Any] | None] = msgpack.unpackb(b"\xdd" + count.to_bytes(4, "big") + data)
    empty = [None] * width
    return np.ascontiguousarray(np.array([row or empty for row in rows], dtype=np.float64).reshape(count, width).T)
