"""The short way of a request that arrives whole: its head is known from the one before, and no task is made for it.

A client that keeps its connection sends the same head again and again. What a head says is therefore kept under its
bytes; whatever is unusual about one (chunks, continuations, escapes, options of the connection) is left to uvicorn.
"""

import re
from typing import NamedTuple

from serving.protocol.message import WANTED

_LINE = re.compile(rb"POST (/[A-Za-z0-9._~:/@!$&'()*+,;=-]*) HTTP/1\.1")
_HEADER = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
LONGEST_HEAD = 4096
"""Bytes of a head that may take the short way."""
_MOST_HEADS = 256


class Head(NamedTuple):
    """What the head of a request says.

    Attributes:
        path: path, which has no query and no escapes.
        headers: the headers that the application looks at.
        length: bytes of the body.
    """

    path: str
    headers: dict[bytes, bytes]
    length: int


class Heads:
    """Heads by their bytes; a bounded number of them."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head | None] = {}

    def read(self, head: bytes) -> Head | None:
        """Return what `head`, which ends before its empty line, says; None where it takes the long way."""
        known = self._known
        try:
            return known[head]
        except KeyError:
            if len(head) > LONGEST_HEAD:
                return None
            if len(known) >= _MOST_HEADS:
                known.clear()
            found = known[head] = parse(head)
            return found


def parse(head: bytes) -> Head | None:
    """Return what a usual head says, None for any other."""
    lines = head.split(b"\r\n")
    request = _LINE.fullmatch(lines[0])
    if request is None:
        return None
    headers: dict[bytes, bytes] = {}
    for line in lines[1:]:
        match = _HEADER.fullmatch(line)
        if match is None:
            return None
        name = match[1].lower()
        if name in headers:
            return None  # which of two counts is not for here to say
        headers[name] = match[2].rstrip(b" \t")
    length = headers.get(b"content-length", b"")
    if not length.isdigit() or len(length) > 9 or b"host" not in headers or _UNUSUAL & headers.keys():
        return None
    if headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    wanted = {name: value for name, value in headers.items() if name in WANTED}
    return Head(request[1].decode(), wanted, int(length))
