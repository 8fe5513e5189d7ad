"""Large V1 bodies, read in pieces between which others are answered.

A JSON decoder holds the interpreter lock until it is done, in a thread as well, so the rows of a body are decoded a few
at a time. The end of a piece is guessed from its last characters. The guess was right if the piece by itself is a list
of complete rows, which a piece cut within a text or an object is not. A body that does not fit is read as a whole, for
the message that names the fault.
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
from serving.features.records import EntityRequest, Instances, parse, read, read_rows, read_table
from serving.protocol.row_decoder import RowDecoder

Array = npt.NDArray[np.float64]

#: Bytes that are read at a time: about a millisecond for the slowest form.
PIECE_BYTES = 16 << 10

_INSTANCES = re.compile(rb'\s*\{\s*"instances"\s*:\s*\[')
_INPUTS = re.compile(rb'\s*\{\s*"inputs"\s*:\s*\{')
_ENDS = {b"]": re.compile(rb"\]\s*\}\s*\Z"), b"}": re.compile(rb"\}\s*\}\s*\Z")}
#: A body with more white space than this between and after its closing brackets is read as a whole.
_TAIL = 64
_BETWEEN_OBJECTS, _BETWEEN_LISTS = re.compile(rb"\}\s*,\s*(?=\{)"), re.compile(rb"\]\s*,\s*(?=\[)")
_BETWEEN_COLUMNS = re.compile(rb'\]\s*,\s*(?=")')
_LIST, _OBJECT = msgspec.json.Decoder(list[Any]), msgspec.json.Decoder(dict[str, Any])


class _UnfitError(Exception):
    """A body in a form that cannot be read in pieces."""


async def read_in_pieces(body: bytes, decoder: RowDecoder, columns: Columns, executor: Executor) -> Instances:
    """Return the same instances as `records.read`.

    Args:
        body: the body.
        decoder: decodes rows by name.
        columns: the features.
        executor: reads a body as a whole that is in another form.

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
    except (_UnfitError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return await loop.run_in_executor(executor, lambda: read(parse(body), columns))


async def _rows(body: bytes, start: int, decoder: RowDecoder, columns: Columns) -> Instances:
    between = _BETWEEN_LISTS if body[start : start + _TAIL].lstrip()[:1] == b"[" else _BETWEEN_OBJECTS
    matrices: list[Array] = []
    requests: list[EntityRequest] = []
    count = 0
    for piece in _split(body, start, b"]", between):
        instances = _read_piece(b"[%b]" % piece, decoder, columns, count)
        count += len(instances)
        if isinstance(instances, list):
            requests += instances
        else:
            matrices.append(instances)
        # Rows of two forms in one body: the general reader names the odd one.
        if matrices and requests:
            raise _UnfitError
        await asyncio.sleep(0)
    # The general reader refuses a body without rows, with the message for it.
    if not count:
        raise _UnfitError
    return requests or np.concatenate(matrices)


def _read_piece(piece: bytes, decoder: RowDecoder, columns: Columns, first: int) -> Instances:
    try:
        return decoder.part(piece)
    except msgspec.ValidationError:
        rows = _LIST.decode(piece)
    if not rows:
        raise _UnfitError
    return read_rows(rows, columns, first)


async def _columns(body: bytes, start: int, columns: Columns) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for piece in _split(body, start, b"}", _BETWEEN_COLUMNS):
        for name, values in _OBJECT.decode(b"{%b}" % piece).items():
            # Categories stay a list: the reader of a table checks the codes of lists only.
            table[name] = values if name in columns.codes else _compact(values)
        await asyncio.sleep(0)
    return table


def _compact(values: Any) -> Any:
    """Return a list of numbers as an array: the garbage collector would traverse the list again and again."""
    # Only floats: an integer that float64 would round is refused later, and an array would hide it.
    plain = isinstance(values, list) and set(map(type, values)) <= {float, type(None)}
    return np.array(values, dtype=np.float64) if plain else values


def _split(body: bytes, start: int, close: bytes, between: re.Pattern[bytes]) -> Iterator[bytes]:
    """Yield the contents of a list or an object in pieces.

    Args:
        body: the whole body, which ends with the closing brackets of the contents and of itself.
        start: first byte of the contents.
        close: bracket that closes the contents.
        between: matches the text between two items.
    """
    end = _ENDS[close].search(body, max(start, len(body) - _TAIL))
    if end is None:
        raise _UnfitError
    stop = end.start()
    while start < stop:
        match = between.search(body, start + PIECE_BYTES, stop)
        if match is None:
            yield body[start:stop]
            return
        yield body[start : match.start() + 1]
        start = match.end()
