"""Sizes of memory as text."""

import re

from almanac.core.errors import ServingError

_SIZE = re.compile(r"(\d+)(Ki|Mi|Gi)?")
_UNITS = {None: 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def parse_size(option: str, text: str) -> int:
    """Return the bytes of a size such as 256Mi.

    Raises:
        ServingError: any other text.
    """
    match = _SIZE.fullmatch(text)
    if match is None or int(match[1]) < 1:
        raise ServingError(f"{option} {text}: write it as 256Mi or 2Gi")
    return int(match[1]) * _UNITS[match[2]]
