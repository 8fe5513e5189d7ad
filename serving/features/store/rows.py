"""Rows of numbers as MessagePack of a fixed size: an array of k float64, so that a row is found by its place.

Rows one behind the other are read by NumPy as they lie, a hundred times as fast as value by value. NaN stands for a
missing value, and zero bytes, which no MessagePack array begins with, for a row that is not there.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LAYOUT = 2
"""Version of the layout; rows of another one are not read."""
_FLOAT64 = 0xCB


def row_size(width: int) -> int:
    """Return the bytes of a row of `width` numbers."""
    return len(_head(width)) + 9 * width


def pack_rows(rows: Array) -> bytes:
    """Return rows (n, k) one behind the other."""
    count, width = rows.shape
    packed = np.zeros(count, dtype=_form(width))
    packed["head"] = np.frombuffer(_head(width), dtype=np.uint8)
    packed["values"]["mark"] = _FLOAT64
    packed["values"]["number"] = rows
    return packed.tobytes()


def unpack_rows(data: bytes, count: int, width: int) -> Array:
    """Return `count` rows that stand one behind the other as an array of shape (k, n), all NaN where one is not there.

    Raises:
        ValueError: other data, or rows of another width.
    """
    if len(data) != count * row_size(width):
        raise ValueError(f"{len(data)} bytes are not {count} rows of {width} numbers")
    packed = np.frombuffer(data, dtype=_form(width))
    there = packed["head"][:, 0] != 0
    rows = packed["values"]["number"].astype(np.float64, order="F").T
    if there.all():
        heads, marks = packed["head"], packed["values"]["mark"]
    else:
        heads, marks = packed["head"][there], packed["values"]["mark"][there]
        rows[:, ~there] = np.nan
    if not ((heads == np.frombuffer(_head(width), dtype=np.uint8)).all() and (marks == _FLOAT64).all()):
        raise ValueError(f"a row is not an array of {width} numbers")
    return rows


def _head(width: int) -> bytes:
    return bytes([0x90 | width]) if width < 16 else b"\xdc" + width.to_bytes(2, "big")


def _form(width: int) -> npt.DTypeLike:
    value = np.dtype([("mark", np.uint8), ("number", ">f8")])
    return np.dtype([("head", np.uint8, (len(_head(width)),)), ("values", value, (width,))])
