"""Large V1 bodies, read in pieces between which others are answered.

A JSON decoder holds the interpreter until it is through, in a thread as well. The rows of a body are therefore read a
few at a time. Where a piece may end is guessed by its last characters; that the guess was right is proved by the piece
being a list of whole rows by itself: one that was cut within a text or an object is not. Whatever does not fit is read
again as a whole, for the message that names the fault.
"""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from almanac.model.columns import Columns
from serving.features.records import EntityRequest, parse, read, read_rows, read_table
from serving.protocol.row_decoder import RowDecoder

Array = npt.NDArray[np.float64]

PIECE_BYTES = 16 << 10
"""Bytes that are read at a time: about a millisecond for the slowest of the forms."""

_INSTANCES = re.compile(rb'\s*\{\s*"instances"\s*:\s*\[')
_INPUTS = re.compile(rb'\s*\{\s*"inputs"\s*:\s*\{')
_ENDS = {b"]": re.compile(rb"\]\s*\}\s*\Z"), b"}": re.compile(rb"\}\s*\}\s*\Z")}
_TAIL = 64
_BETWEEN_OBJECTS, _BETWEEN_LISTS = re.compile(rb"\}\s*,\s*(?=\{)"), re.compile(rb"\]\s*,\s*(?=\[)")
_BETWEEN_COLUMNS = re.compile(rb'\]\s*,\s*(?=")')
_LIST, _OBJECT = msgspec.json.Decoder(list[Any]), msgspec.json.Decoder(dict[str, Any])


class _Unfit(Exception):  # noqa: N818  (it is a form, not a fault)
    """A body of another form than is read in pieces."""


async def read_in_pieces(
    body: bytes, decoder: RowDecoder, columns: Columns, executor: Executor
) -> Array | list[EntityRequest]:
    """Return what `records.read` does.

    Args:
        body: the body.
        decoder: reads rows by name.
        columns: the features.
        executor: where a body is read as a whole that is not one of rows or columns.

    Raises:
        HTTPError: the body breaks a rule; the message names row and column.
    """
    loop = asyncio.get_running_loop()
    try:
        if start := _INSTANCES.match(body):
            return await _rows(body, start.end(), decoder, columns)
        if start := _INPUTS.match(body):
            table = await _columns(body, start.end(), columns)
            return await loop.run_in_executor(executor, read_table, table, columns)
    except (_Unfit, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return await loop.run_in_executor(executor, lambda: read(parse(body), columns))


async def _rows(body: bytes, start: int, decoder: RowDecoder, columns: Columns) -> Array | list[EntityRequest]:
    between = _BETWEEN_LISTS if body[start : start + _TAIL].lstrip()[:1] == b"[" else _BETWEEN_OBJECTS
    matrices: list[Array] = []
    moments: list[EntityRequest] = []
    count = 0
    for piece in _split(body, start, b"]", between):
        found = _read_piece(b"[%b]" % piece, decoder, columns, count)
        count += len(found)
        if isinstance(found, list):
            moments += found
        else:
            matrices.append(found)
        if matrices and moments:
            raise _Unfit
        await asyncio.sleep(0)
    if not count:
        raise _Unfit
    return moments or np.concatenate(matrices)


def _read_piece(piece: bytes, decoder: RowDecoder, columns: Columns, first: int) -> Array | list[EntityRequest]:
    try:
        return decoder.part(piece)
    except msgspec.ValidationError:
        rows = _LIST.decode(piece)
    if not rows:
        raise _Unfit
    return read_rows(rows, columns, first)


async def _columns(body: bytes, start: int, columns: Columns) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for piece in _split(body, start, b"}", _BETWEEN_COLUMNS):
        for name, values in _OBJECT.decode(b"{%b}" % piece).items():
            table[name] = values if name in columns.codes else _compact(values)
        await asyncio.sleep(0)
    return table


def _compact(values: Any) -> Any:
    """Return a list of numbers as an array: the garbage collector would walk through the list again and again."""
    plain = isinstance(values, list) and set(map(type, values)) <= {float, type(None)}
    return np.array(values, dtype=np.float64) if plain else values


def _split(body: bytes, start: int, close: bytes, between: re.Pattern[bytes]) -> Iterator[bytes]:
    """Yield the inside of a list or an object in pieces.

    Args:
        body: the whole body, which ends with what closes the inside and the body itself.
        start: first byte of the inside.
        close: closes the inside.
        between: what stands between two items, up to the first character of the second.
    """
    end = _ENDS[close].search(body, max(start, len(body) - _TAIL))
    if end is None:
        raise _Unfit
    stop = end.start()
    while start < stop:
        found = between.search(body, start + PIECE_BYTES, stop)
        if found is None:
            yield body[start:stop]
            return
        yield body[start : found.start() + 1]
        start = found.end()
