"""Rows by name read from JSON by compiled code, in a quarter of the time that objects of Python take."""

import ctypes
import json
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.core.errors import NoCompilerError
from almanac.model.columns import Columns
from almanac.native.libraries import TREES

#: Rows for which there is room at first.
_ROWS = 128
_TOO_MANY = -2


class _Columns(ctypes.Structure):
    """`json_columns` of json_rows.h."""

    _fields_ = [
        ("columns", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("names", "name_start", "required", "levels", "level_start")),
        ("level_text", ctypes.c_void_p),
        ("level_order", ctypes.c_void_p),
    ]


class JsonRows:
    """Reads `{"instances": [{feature: value, …}, …]}` if every row has exactly the model's features; for one thread.

    Args:
        columns: the features.

    Raises:
        NoCompilerError: there is no compiled code on this machine.
    """

    def __init__(self, columns: Columns) -> None:
        library = TREES.load()
        levels = [columns.categories.get(name, ()) for name in columns.names]
        names, name_start = _texts(columns.names)
        texts, level_text = _texts(text for part in levels for text in part)
        required = np.array([name in columns.required for name in columns.names], dtype=np.uint8)
        level_start = _starts(map(len, levels))
        level_order = np.array([at for part in levels for at in _sorted(part)], dtype=np.int32)
        width = len(columns.names)
        order, seen = np.zeros(width, dtype=np.int32), np.zeros(width, dtype=np.int32)
        # The library keeps no memory of its own: these live as long as this object.
        self._tables = (names, name_start, required, texts, level_start, level_text, level_order, order, seen)
        addresses = [table.ctypes.data for table in self._tables]
        self._columns = _Columns(width, *addresses[:7])
        self._call: Any = partial(
            library.almanac_json_rows, ctypes.byref(self._columns), *map(ctypes.c_void_p, addresses[7:])
        )
        self._width = width
        # A row needs a digit, a colon and a comma or bracket for each name.
        self._shortest = len(names) + 3 * width
        self._row = np.empty(width)
        self._read_row = partial(self._call, ctypes.c_void_p(self._row.ctypes.data), 1)
        self._make_room(_ROWS)

    def row(self, text: bytes | bytearray) -> Array | None:
        """Return the only row of a body (f,), which the next call overwrites; None for any other body."""
        # A list of more rows is given up at the second one.
        if isinstance(text, bytes) and self._read_row(text, len(text), True) == 1:
            return self._row
        return None

    def read(self, text: bytes | bytearray, whole: bool = True) -> Array | None:
        """Return the rows of a body (n, f), NaN for null; None for a body of any other form, a faulty one included.

        Args:
            text: the body, or with `whole` false the list of its rows alone.
            whole: whether the list is within an object.
        """
        if not isinstance(text, bytes):
            text = bytes(text)  # which ends with a zero in memory, as the kernel asks for
        rows: int = self._read(text, len(text), whole)
        if rows == _TOO_MANY:
            self._make_room(len(text) // self._shortest + 1)
            rows = self._read(text, len(text), whole)
        return self._rows[:rows].copy() if rows > 0 else None

    def _make_room(self, rows: int) -> None:
        self._rows = np.empty((rows, self._width))
        # Its address is looked up once, since that takes as long as reading a row.
        self._read = partial(self._call, ctypes.c_void_p(self._rows.ctypes.data), rows)


def _texts(texts: Iterable[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Return texts as JSON, one after the other, and where each begins and the last one ends."""
    parts = [_written(text) for text in texts]
    return np.frombuffer(b"".join(parts) or b"\0", dtype=np.uint8), _starts(map(len, parts))


def _written(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def _sorted(texts: Sequence[str]) -> list[int]:
    """Return the positions of texts in the order of their bytes as JSON, as `memcmp` compares them."""
    written = [_written(text) for text in texts]
    return sorted(range(len(written)), key=written.__getitem__)


def _starts(lengths: Iterable[int]) -> npt.NDArray[np.int32]:
    return np.array([0, *accumulate(lengths)], dtype=np.int32)


def open_json_rows(columns: Columns) -> JsonRows | None:
    """Return the compiled reader of rows with these columns, None on a machine without compiled code."""
    try:
        return JsonRows(columns)
    except NoCompilerError:
        return None
