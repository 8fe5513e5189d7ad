"""One HTTP request as the routes see it, and one reply."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from serving.errors import Refusal, too_large

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
LARGE_BODY = 256 << 10
"""Bytes from which a body is read in pieces, so that others are answered between them."""
_ITEMS = 256
"""Items of a list that are encoded at a time."""
WANTED = frozenset({
    b"authorization", b"x-api-key", b"content-type", b"x-request-id", b"content-length", b"traceparent",
    b"inference-header-content-length", b"origin", b"accept", b"content-encoding",
})  # fmt: skip


@dataclass(slots=True)
class Request:
    """What a route needs of a request.

    Attributes:
        method: GET, POST …
        path: path without query.
        headers: the few headers that are looked at, lower-case names.
        client: address of the client.
        body: the whole body.
        who: id of the key, or the client's address, once admitted.
        model: name of the model in the path, "" where there is none.
        version: version of the model in the path, or None.
        verb: what is asked, for metrics.
        answered_by: version of the model that answered, for metrics.
        id: request id.
    """

    method: str
    path: str
    headers: dict[bytes, bytes]
    client: str
    body: bytes = b""
    who: str = ""
    model: str = ""
    version: str | None = None
    verb: str = ""
    answered_by: str = ""
    id: str = ""

    @property
    def key(self) -> str | None:
        """The API key as sent, or None."""
        direct = self.headers.get(b"x-api-key")
        if direct is not None:
            return direct.decode("latin-1")
        line = self.headers.get(b"authorization")
        if line is None:
            return None
        return line[7:].decode("latin-1").strip() if line[:7].lower() == b"bearer " else line.decode("latin-1")


@dataclass(slots=True)
class Reply:
    """An answer: body, status and what headers it has of its own."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)


_ENCODER = msgspec.json.Encoder()
encode: Callable[[Any], bytes] = _ENCODER.encode


def encode_large(document: dict[str, Any]) -> bytes:
    """Return what `encode` does, with long lists a few items at a time: a thread lets others go on in between."""
    fields = (encode(name) + b":" + _encode_value(value) for name, value in document.items())
    return b"{%b}" % b",".join(fields)


def _encode_value(value: Any) -> bytes:
    if not isinstance(value, list) or len(value) <= _ITEMS:
        return encode(value)
    return b"[%b]" % b",".join(encode(value[at : at + _ITEMS])[1:-1] for at in range(0, len(value), _ITEMS))


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a reply with `value` as JSON."""
    return Reply(encode(value), status)


def error_reply(refusal: Refusal) -> Reply:
    """Return the error shape of both protocols: `{"error": message}`."""
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    return Reply(encode({"error": str(refusal)}), int(refusal.status), JSON, headers)


def open_request(scope: Scope) -> Request:
    """Return the request of an ASGI scope, without its body."""
    wanted = WANTED
    headers = {name: value for name, value in scope["headers"] if name in wanted}
    client = scope.get("client")
    return Request(scope["method"], scope["path"], headers, client[0] if client else "local")


async def read_body(request: Request, receive: Receive, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        Refusal: 413 above `limit` bytes; 400 when the client goes away.
    """
    length = request.headers.get(b"content-length")
    if length is not None and int(length) > limit:
        raise _beyond(int(length), limit)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(HTTPStatus.BAD_REQUEST, "the client went away before its request was whole")
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > limit:
            raise _beyond(size, limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _beyond(size: int, limit: int) -> Refusal:
    refusal = too_large(size, limit)
    refusal.headers["connection"] = "close"  # the rest is thrown away, and only for so long
    return refusal
