"""JSON of replies."""

from collections.abc import Callable
from typing import Any

import msgspec

from serving.runtime.errors import HTTPError
from serving.runtime.http import JSON, Reply

#: Bytes from which a body is read in pieces, so that others are answered between them.
LARGE_BODY = 256 << 10
#: Items of a list that are encoded at a time.
_ITEMS = 256
_TENSORS = 64

_ENCODER = msgspec.json.Encoder()
encode: Callable[[Any], bytes] = _ENCODER.encode


def encode_large(document: dict[str, Any]) -> bytes:
    """Return the same as `encode`, with long lists a few items at a time.

    The encoder holds the interpreter lock; between two pieces the event loop's thread gets its turn.
    """
    fields = (encode(name) + b":" + _encode_value(value) for name, value in document.items())
    return b"{%b}" % b",".join(fields)


def _encode_value(value: Any) -> bytes:
    if isinstance(value, dict):
        return encode_large(value)
    if not isinstance(value, list):
        return encode(value)
    if len(value) > _ITEMS:
        return b"[%b]" % b",".join(encode(value[at : at + _ITEMS])[1:-1] for at in range(0, len(value), _ITEMS))
    # Tensors are few objects with long lists; rows are many with short ones.
    if len(value) <= _TENSORS and value and isinstance(value[0], dict):
        return b"[%b]" % b",".join(map(_encode_value, value))
    return encode(value)


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a reply with `value` as JSON."""
    return Reply(encode(value), status)


def error_reply(error: HTTPError) -> Reply:
    """Return the error shape of both protocols: `{"error": message}`."""
    headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    return Reply(encode({"error": str(error)}), int(error.status), JSON, headers)
