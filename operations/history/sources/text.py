"""Values of several parts as the history keeps them."""

import math
from typing import Any

from almanac.core.files import canonical_json


def as_text(value: Any) -> str:
    """Return a value as canonical JSON."""
    return canonical_json(value).decode()


def number(value: Any) -> float | None:
    """Return a finite number, None for everything else, which two databases would keep differently."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
