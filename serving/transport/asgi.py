"""ASGI scopes and events to requests."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from serving.runtime.errors import HTTPError, too_large
from serving.runtime.http import Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_ESCAPED_SLASH = re.compile("%2[fF]")
#: The headers that the server reads.
READ_HEADERS = frozenset({
    b"authorization", b"x-api-key", b"content-type", b"x-request-id", b"content-length", b"traceparent",
    b"inference-header-content-length", b"origin", b"accept", b"content-encoding", b"host",
})  # fmt: skip


def open_request(scope: Scope) -> Request:
    """Return the request of an ASGI scope, without its body."""
    names = READ_HEADERS
    # Most headers are never read, and the filter costs less than a dict of all of them.
    headers = {name: value for name, value in scope["headers"] if name in names}
    client = scope.get("client")
    return Request(scope["method"], _path(scope), headers, client[0] if client else "local")


def _path(scope: Scope) -> str:
    """Return the decoded path, in which an escaped slash stays escaped: it is part of a name and divides nothing."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None or b"%" not in raw:
        path: str = scope["path"]
        return path
    return "%2F".join(unquote(part) for part in _ESCAPED_SLASH.split(raw.decode("latin-1")))


async def read_body(request: Request, receive: Receive, limit: int, take: Callable[[int], None]) -> bytes:
    """Return the whole body; `take` is called with the size of each part as it arrives.

    Raises:
        HTTPError: 413 above `limit` bytes; 400 when the client disconnects.
    """
    # The declared length first: then nothing of a body that is too large has to be read.
    length = request.headers.get(b"content-length")
    if length is not None and int(length) > limit:
        raise _beyond(int(length), limit)
    whole, more = b"", True
    # It grows in place; parts that are joined at the end would be there twice.
    body = bytearray()
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HTTPError(HTTPStatus.BAD_REQUEST, "the client went away before its request was whole")
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) + len(part) > limit:
            raise _beyond(len(body) + len(part), limit)
        take(len(part))
        if not more and not body:
            whole = part
        else:
            body += part
    return whole or body  # type: ignore[return-value]  # whatever takes bytes takes these


async def refuse_other(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer scopes other than HTTP: acknowledge lifespan events, and close web sockets."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "websocket.close", "code": 1003})


def _beyond(size: int, limit: int) -> HTTPError:
    error = too_large(size, limit)
    error.headers["connection"] = "close"  # the rest is discarded, and only up to a bound
    return error
