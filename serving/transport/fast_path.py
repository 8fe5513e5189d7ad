"""The fast path of a request that arrives whole: its head is looked up, and no task is created for it.

A client that keeps its connection sends the same head again and again, so parsed heads are cached by their bytes.
Whatever is unusual about a head (chunks, continuations, escapes, connection options) is left to uvicorn.
"""

import re
from dataclasses import dataclass

from serving.transport.asgi import READ_HEADERS
from serving.transport.clearance import Clearance
from serving.transport.web_guard import host_of

_LINE = re.compile(rb"POST (/[A-Za-z0-9._~:/@!$&'()*+,;=-]*) HTTP/1\.1")
_HEADER = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
#: Bytes of a head that may take the fast path.
LONGEST_HEAD = 4096
_MOST_HEADS = 256


@dataclass(slots=True)
class Head:
    """A parsed head of a request.

    Attributes:
        path: path, which has no query and no escapes.
        headers: the headers that the server reads.
        length: bytes of the body.
        clearance: that of an earlier request with this head.
    """

    path: str
    headers: dict[bytes, bytes]
    length: int
    clearance: Clearance | None = None


class HeadCache:
    """A bounded number of parsed heads by their bytes."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head | None] = {}

    def read(self, head: bytes) -> Head | None:
        """Return the parsed head, given without its empty line; None if uvicorn is to parse it."""
        heads = self._heads
        try:
            return heads[head]
        except KeyError:
            if len(head) > LONGEST_HEAD:
                return None
            # Cleared as a whole: a client that varies its heads gains nothing from a cache anyway.
            if len(heads) >= _MOST_HEADS:
                heads.clear()
            parsed = heads[head] = parse(head)
            return parsed


def parse(head: bytes) -> Head | None:
    """Return the parsed head, None for an unusual one."""
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
            return None  # uvicorn's parser decides between two headers of one name
        headers[name] = match[2].rstrip(b" \t")
    length, host = headers.get(b"content-length", b""), host_of(headers.get(b"host", b""))
    if not length.isdigit() or len(length) > 9 or host is None or _UNUSUAL & headers.keys():
        return None
    # The fast path keeps connections open and has no other mode.
    if headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    read = {name: value for name, value in headers.items() if name in READ_HEADERS}
    return Head(request[1].decode(), read, int(length))
