"""Rows of numbers as MessagePack arrays of k float64: of a fixed size, so that a row is found by its position.

NumPy reads consecutive rows without a copy, a hundred times as fast as value by value. NaN is a missing value. Zero
bytes, with which no MessagePack array begins, are a missing row.
"""

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array

#: Version of the layout; rows of another one are not read.
LAYOUT = 2
_FLOAT64 = 0xCB


def row_size(width: int) -> int:
    """Return the bytes of a row of `width` numbers."""
    return len(_head(width)) + 9 * width


def pack_rows(rows: Array) -> bytes:
    """Return rows (n, k) as consecutive bytes."""
    count, width = rows.shape
    packed = np.zeros(count, dtype=_form(width))
    packed["head"] = np.frombuffer(_head(width), dtype=np.uint8)
    packed["values"]["mark"] = _FLOAT64
    packed["values"]["number"] = rows
    return packed.tobytes()


def unpack_rows(data: bytes, count: int, width: int) -> Array:
    """Return `count` consecutive rows as an array of shape (k, n), all NaN for a missing one.

    Raises:
        ValueError: other data, or rows of another width.
    """
    if len(data) != count * row_size(width):
        raise ValueError(f"{len(data)} bytes are not {count} rows of {width} numbers")
    packed = np.frombuffer(data, dtype=_form(width))
    exists = packed["head"][:, 0] != 0
    # In column order, so that each column of the transposed result is contiguous.
    rows = packed["values"]["number"].astype(np.float64, order="F").T
    if exists.all():
        heads, marks = packed["head"], packed["values"]["mark"]
    else:
        heads, marks = packed["head"][exists], packed["values"]["mark"][exists]
        rows[:, ~exists] = np.nan
    if not ((heads == np.frombuffer(_head(width), dtype=np.uint8)).all() and (marks == _FLOAT64).all()):
        raise ValueError(f"a row is not an array of {width} numbers")
    return rows


def _head(width: int) -> bytes:
    return bytes([0x90 | width]) if width < 16 else b"\xdc" + width.to_bytes(2, "big")


def _form(width: int) -> npt.DTypeLike:
    # MessagePack is big-endian.
    value = np.dtype([("mark", np.uint8), ("number", ">f8")])
    return np.dtype([("head", np.uint8, (len(_head(width)),)), ("values", value, (width,))])
