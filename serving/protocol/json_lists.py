"""Long lists of a JSON body, read a few kilobytes at a time; others are answered between two pieces.

A JSON decoder holds the interpreter lock until it is done, in a thread as well. So the long lists are cut out of a body
and decoded in pieces, and what is left of it, the skeleton, is decoded as a whole. Where an item ends is guessed from
the characters around it and from the number of quotes before. The guess was right if the piece between two commas is by
itself a list of complete items, which a piece cut within a text or an object is not; every piece is decoded, so a wrong
guess is an error and never another value.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from http import HTTPStatus
from itertools import chain, islice
from typing import Any

import msgspec

from serving.features.records import parse
from serving.runtime.bounds import Bounds
from serving.runtime.errors import HTTPError, invalid
from serving.runtime.json_errors import MALFORMED, UnfitError, malformed

#: Bytes that are read at a time: about a millisecond for the slowest form, which is lists in lists.
PIECE_BYTES = 8 << 10
#: Bytes of one item, and of everything beside the lists: decoded at once, in a few milliseconds.
LONGEST = 256 << 10
#: An item may be as deep a list as this.
_DEEPEST = 4
#: White space that is looked through at the end of a piece.
_SLACK = 64
#: Guesses for the end of a piece; a text that looks like more ends than that is refused.
_GUESSES = 512
_SPACE = re.compile(rb"\s*")
_OPENING = re.compile(rb"(?:\[\s*)*")
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_LIST = msgspec.json.Decoder(list[Any])
#: Stands in a skeleton for a list; no client can know it.
_TOKEN = secrets.token_hex(8)


class _Form:
    """Separators of items of one kind: the comma between two of them, and the bracket after the last."""

    def __init__(self, close: bytes, begin: bytes) -> None:
        # White space is looked through only behind a bracket or quote: from everywhere it would take forever.
        behind = close + rb"\s*" if close else b""
        self.end = re.compile(behind + rb"(\])")
        self.next = re.compile(behind + rb"(,(?=\s*" + begin + rb")|\])")


_NUMBERS, _TEXTS, _OBJECTS = _Form(b"", b""), _Form(rb'["l]', rb'["n]'), _Form(rb"\}", rb"\{")
_NESTED = [_Form(rb"\](?:\s*\]){%d}" % at, rb"\[(?:\s*\[){%d}" % at) for at in range(_DEEPEST)]


def pieces(body: bytes, start: int) -> Iterator[tuple[bytes, int]]:
    """Yield the items of a list as smaller lists, each with the position after it; for the last, after the bracket.

    Args:
        body: the body.
        start: position after the opening bracket.

    Raises:
        HTTPError: there is no end, or an item longer than `LONGEST`.
    """
    form, first = _form(body, start), start
    while True:
        match = _end_of_piece(body, start, form)
        piece = body[start : match.start(1)] if match else b""
        if match is None or (start > first and not piece.strip()):
            raise UnfitError(f"a list has no end, or an item of more than {LONGEST} bytes, at byte {start}")
        yield b"[%b]" % piece, match.end(1)
        if match[1] == b"]":
            return
        start = match.end(1)


def _end_of_piece(body: bytes, start: int, form: _Form) -> re.Match[bytes] | None:
    """Return the match of the comma or bracket behind a piece that begins at `start`, None if there is none near."""
    near, far = start + PIECE_BYTES, start + LONGEST
    guesses = chain(form.end.finditer(body, start, near + _SLACK), form.next.finditer(body, near, far))
    # At last the bracket of a list whose end has more white space in it than was looked through.
    return _outside_texts(body, start, guesses) or _outside_texts(body, start, form.end.finditer(body, start, far))


def _outside_texts(body: bytes, start: int, guesses: Iterable[re.Match[bytes]]) -> re.Match[bytes] | None:
    """Return the first match before which every text that begins also ends."""
    odd = 0
    for match in islice(guesses, _GUESSES):
        part = body[start : match.start(1)]
        if b"\\" in part:
            part = _ESCAPE.sub(b"", part)
        odd ^= part.count(b'"') & 1
        start = max(start, match.start(1))
        if not odd:
            return match
    return None


def _form(body: bytes, start: int) -> _Form:
    at = _SPACE.match(body, start, start + LONGEST).end()  # type: ignore[union-attr]  # it matches always
    first = bytes(body[at : at + 1])  # a body that arrived in parts is a bytearray
    if first == b"[":
        depth = _OPENING.match(body, at, at + _SLACK)[0].count(b"[")  # type: ignore[index]
        return _NESTED[min(depth, _DEEPEST) - 1]
    return {b"{": _OBJECTS, b'"': _TEXTS}.get(first, _NUMBERS)


class Lists:
    """The lists of a body at certain keys.

    Args:
        body: the body.
        key: matches such a key with the opening bracket of its list.
        bounds: the bound on values.

    Attributes:
        key: the match of the key whose list is being read.
        skeleton: once all are read, the body with the number of each list in place of it.
    """

    def __init__(self, body: bytes, key: re.Pattern[bytes], bounds: Bounds) -> None:
        self._body, self._key, self._bounds = body, key, bounds
        self.key: re.Match[bytes] | None = None
        self.skeleton = b""

    async def read(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield the number of each list with a piece of its items, itself a JSON list; others are answered in between.

        Raises:
            HTTPError: a list has no end, there are too many values, or too much stands beside the lists.
        """
        body, at, values, parts, size = self._body, 0, 0, [], 0
        number = 0
        while match := self._key.search(body, at, at + LONGEST):
            self.key = match
            parts.append(body[at : match.end() - 1])
            size += len(parts[-1])
            for piece, after in pieces(body, match.end()):
                values += piece.count(b",") + 1
                self._bounds.check_values(values)
                yield number, piece
                await asyncio.sleep(0)
                at = after
            parts.append(b'"%b %d"' % (_TOKEN.encode(), number))
            number += 1
            if size > LONGEST:
                break
        if size + len(body) - at > LONGEST:
            raise HTTPError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LONGEST} bytes stand beside the lists of rows or data"
            )
        self.skeleton = b"".join([*parts, body[at:]])


def number_of(value: Any) -> int | None:
    """Return the number of the list that a value of the skeleton represents, None for any other value."""
    text = value if isinstance(value, str) else ""
    return int(text[len(_TOKEN) :]) if text.startswith(_TOKEN) else None


async def rows_of(body: bytes, field: str, bounds: Bounds) -> AsyncIterator[tuple[int, list[Any]]]:
    """Yield the rows of `{field: [row, …]}`, some at a time, with the position of the first.

    Raises:
        HTTPError: not JSON, another form, no rows, or more than the bounds allow.
    """
    count = 0
    if len(body) <= PIECE_BYTES:
        document = parse(body)
        if set(document) != {field} or not isinstance(document[field], list) or not document[field]:
            raise invalid(f"expected one field, {field}: a list of at least one row")
        bounds.check_rows(len(document[field]))
        yield 0, document[field]
        return
    lists = Lists(body, re.compile(rb'"%b"\s*:\s*\[' % field.encode()), bounds)
    async for number, piece in lists.read():
        rows = items(piece, field, count)
        bounds.check_rows(count + len(rows))
        if number:
            break
        yield count, rows
        count += len(rows)
    document = parse(lists.skeleton or body) if len(lists.skeleton or body) <= LONGEST else {}
    if set(document) != {field} or number_of(document[field]) is None or not count:
        raise invalid(f"expected one field, {field}: a list of at least one row")


def items(piece: bytes, location: str, first: int = 0) -> list[Any]:
    """Return the items of a piece.

    Args:
        piece: a JSON list.
        location: path of the whole list, for messages.
        first: position of the first item in the whole list.

    Raises:
        HTTPError: it is not JSON; the message names the place.
    """
    try:
        return _LIST.decode(piece)
    except MALFORMED as error:
        raise malformed(error, piece, location, first, f"{location}: what follows item {first}") from error
