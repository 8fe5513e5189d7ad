"""The number of objects in an infer message, counted on its bytes.

Parsed, an empty tensor of two bytes takes ninety. So a large message is counted before it is parsed: its fields are
walked by their tags and lengths, and nothing is built.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from serving.runtime.errors import HTTPError, invalid

#: Bytes up to which a message is parsed uncounted: at worst 65,536 objects, in 3 ms.
UNCOUNTED = 128 << 10
#: Parts of a message that are messages themselves: tensors, their contents and parameters.
MOST_PARTS = 16_384
#: All other fields: texts, byte strings, single numbers.
MOST_FIELDS = 131_072
#: Bytes of packed whole numbers, which are as many numbers at most.
MOST_NUMBERS = 524_288
#: Fields that are walked at a time, in about a millisecond.
_PIECE = 1024

_Fields = Mapping[int, Any]
_PARAMETERS: _Fields = {2: {}}
#: Parts of ModelInferRequest by their field numbers.
_CONTENTS: _Fields = {}
_REQUEST: _Fields = {4: _PARAMETERS, 5: {4: _PARAMETERS, 5: _CONTENTS}, 6: {2: _PARAMETERS}}
#: The fields of contents whose packed numbers may take one byte each, and eight once they are parsed.
_PACKED = frozenset(range(1, 6))
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def count_objects(data: bytes) -> Iterator[None]:
    """Count the objects of a `ModelInferRequest`, and yield between two pieces of the work.

    Raises:
        HTTPError: 413, there are more than `MOST_PARTS`, `MOST_FIELDS` or `MOST_NUMBERS`; 400 for another message.
    """
    parts = fields = numbers = 0
    pending: list[tuple[int, int, _Fields]] = [(0, len(data), _REQUEST)]
    while pending:
        at, end, known = pending.pop()
        while at < end:
            tag, at = _varint(data, at, end)
            kind = tag & 7
            inner = known.get(tag >> 3)
            if kind == _VARINT:
                _, at = _varint(data, at, end)
            elif kind == _FIXED64:
                at += 8
            elif kind == _FIXED32:
                at += 4
            elif kind == _BYTES:
                size, at = _varint(data, at, end)
                if inner is not None:
                    pending.append((at, at + size, inner))
                    parts += 1
                if known is _CONTENTS and tag >> 3 in _PACKED:
                    numbers += size
                at += size
            if at > end or kind not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
                raise invalid("the message is not a ModelInferRequest")
            fields += 1
            if numbers > MOST_NUMBERS:
                message = f"the message has more than {MOST_NUMBERS} bytes of whole numbers; send raw contents"
                raise HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
            if parts > MOST_PARTS or fields > MOST_FIELDS:
                message = f"more than {MOST_PARTS} tensors and parameters, or {MOST_FIELDS} values by themselves"
                raise HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the message has {message}; send raw contents")
            if not fields % _PIECE:
                yield


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise invalid("the message is not a ModelInferRequest")
