"""Large V1 bodies, read in pieces between which others are answered."""

import asyncio
import re
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any

import msgspec
import numpy as np

from almanac.core.arrays import Array
from almanac.model.columns import Columns
from serving.features.records import EntityRequest, Instances, parse, read, read_rows, read_table
from serving.protocol.infer_json import with_nulls
from serving.protocol.json_lists import LONGEST, Lists, items, number_of
from serving.protocol.row_decoder import RowDecoder
from serving.runtime.bounds import Bounds
from serving.runtime.json_errors import UnfitError

_KIND = re.compile(rb'"(instances|inputs)"\s*:')
_ROWS, _COLUMN = re.compile(rb'"instances"\s*:\s*\['), re.compile(rb'"([^"\\]{1,200})"\s*:\s*\[')
_ROWS_AT_A_TIME = 32
_PLAIN = {float, int, type(None)}
#: Up to here float64 holds every integer.
_EXACT = 2.0**53


async def read_in_pieces(
    body: bytes, decoder: RowDecoder, columns: Columns, executor: Executor, bounds: Bounds
) -> Instances:
    """Return the same instances as `records.read`.

    Args:
        body: the body.
        decoder: decodes rows by name.
        columns: the features.
        executor: reads tables, and a body as a whole whose form is another.
        bounds: the bounds on rows and values.

    Raises:
        HTTPError: the body breaks a rule; the message names row and column.
    """
    loop = asyncio.get_running_loop()
    kind = _KIND.search(body, 0, LONGEST)
    try:
        if kind is not None and kind[1] == b"instances":
            return await _rows(body, decoder, columns, bounds)
        if kind is not None:
            table = await _table(body, bounds)
            return await loop.run_in_executor(executor, read_table, table, columns)
        raise UnfitError("expected exactly one of instances (rows) and inputs (columns)")
    except UnfitError:
        # At this size a decoder is done in milliseconds, and what it says names the fault better.
        if len(body) > LONGEST:
            raise
    return await loop.run_in_executor(executor, lambda: read(parse(body), columns))


async def _rows(body: bytes, decoder: RowDecoder, columns: Columns, bounds: Bounds) -> Instances:
    matrices: list[Array] = []
    requests: list[EntityRequest] = []
    count = 0
    lists = Lists(body, _ROWS, bounds)
    async for number, piece in lists.read():
        async for instances in _read_piece(piece, decoder, columns, count):
            count += len(instances)
            bounds.check_rows(count)
            if isinstance(instances, list):
                requests += instances
            else:
                matrices.append(instances)
        if number or (matrices and requests):
            raise UnfitError("instances: rows by time and rows of features; send them in two requests")
    document = parse(lists.skeleton)
    if set(document) - {"parameters"} != {"instances"} or number_of(document["instances"]) is None or not count:
        raise UnfitError("expected instances, a list of at least one row, beside parameters alone")
    return requests or np.concatenate(matrices)


async def _read_piece(piece: bytes, decoder: RowDecoder, columns: Columns, first: int) -> AsyncIterator[Instances]:
    try:
        yield decoder.part(piece)
        return
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        rows = items(piece, "instances", first)
    if not rows:
        raise UnfitError("instances: empty; expected at least one row")
    # The general reader takes a microsecond a value, where the typed one takes one a row.
    for at in range(0, len(rows), _ROWS_AT_A_TIME):
        yield read_rows(rows[at : at + _ROWS_AT_A_TIME], columns, first + at)
        await asyncio.sleep(0)


async def _table(body: bytes, bounds: Bounds) -> dict[str, Any]:
    """Return the columns by name, those of plain numbers as arrays."""
    parts: list[list[Any]] = []
    counts: list[int] = []
    lists = Lists(body, _COLUMN, bounds)
    async for number, piece in lists.read():
        if number == len(parts):
            parts.append([])
            counts.append(0)
        name = lists.key[1].decode(errors="replace") if lists.key else ""
        values = items(piece, f"inputs.{name}", counts[number])
        counts[number] += len(values)
        bounds.check_rows(counts[number])
        parts[number].append(_compact(values))
    document = parse(lists.skeleton)
    table = document.get("inputs")
    if set(document) - {"parameters"} != {"inputs"} or not isinstance(table, dict):
        raise UnfitError("expected inputs, an object of columns, beside parameters alone")
    return {name: _joined(parts, value) for name, value in table.items()}


def _joined(parts: list[list[Any]], value: Any) -> Any:
    number = number_of(value)
    if number is None:
        return value
    if all(isinstance(part, np.ndarray) for part in parts[number]):
        return np.concatenate(parts[number])
    lists = [part if isinstance(part, list) else with_nulls(part) for part in parts[number]]
    return [value for part in lists for value in part]


def _compact(values: list[Any]) -> Any:
    """Return numbers as an array, an eighth of the memory of a list."""
    if not values or not set(map(type, values)) <= _PLAIN:
        return values
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:
        return values
    # An integer that float64 would round is refused later, and an array would hide it.
    return values if (np.abs(array) >= _EXACT).any() else array
