"""Errors of bodies that are not JSON, or JSON that no float64 holds, with the place of the fault."""

import json
import re
from http import HTTPStatus
from typing import Any

import msgspec

from serving.runtime.errors import HTTPError, invalid

#: Errors of a decoder.
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
#: Longest text in which the place is looked for.
_LONGEST = 256 << 10


class UnfitError(HTTPError):
    """A body of the wrong form, whose fault a second pass over all of it may name better."""

    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, message)


def malformed(error: Exception, data: bytes, location: str, first: int, what: str) -> HTTPError:
    """Return the error for data that are not JSON, with the place of a literal or number that JSON does not have.

    Args:
        error: the decoder's.
        data: the data.
        location: path of the data, "" for a whole body.
        first: position of the first item, where the data are a list.
        what: name of the data, for any other fault.
    """
    return _foreign(data, location, first) or UnfitError(f"{what} is not JSON: {str(error)[:200]}")


class _Foreign(str):
    """A literal that JSON does not have, or a number that no float64 holds."""

    __slots__ = ()


def _foreign(data: bytes, location: str, first: int) -> HTTPError | None:
    """Return the error that names the first of them, None if there is none."""
    # Python's own decoder reads them all; it is slower, so only a short text is looked through.
    if len(data) > _LONGEST or not re.search(rb"NaN|Infinity|[eE]|\d{20}", data):
        return None
    try:
        value = json.loads(data, parse_constant=_Foreign, parse_int=_whole, parse_float=_fraction)
    except (ValueError, RecursionError):
        return None
    pending = [(location, value, first)]
    while pending:
        path, value, first = pending.pop()
        if isinstance(value, _Foreign):
            text = value if len(value) <= 40 else f"a number of {len(value)} characters"
            # Python's decoder lets half a character pass, which no answer could hold.
            path = path.encode(errors="backslashreplace").decode()
            return invalid(f"{path}: {text} is no number of JSON that float64 holds; null stands for a missing value")
        if isinstance(value, dict):
            # A tensor is named as all messages name it.
            if isinstance(value.get("name"), str) and "data" in value:
                pending.append((value["name"], value.pop("data"), 0))
            prefix = f"{path}." if path else ""
            pending += [(f"{prefix}{name}", inner, 0) for name, inner in reversed(value.items())]
        elif isinstance(value, list):
            pending += [(f"{path}[{at}]", value[at - first], 0) for at in range(first + len(value) - 1, first - 1, -1)]
    return None


def _whole(text: str) -> Any:
    return _Foreign(text) if len(text) > 310 else 0


def _fraction(text: str) -> Any:
    return _Foreign(text) if abs(float(text)) == float("inf") else 0.0
