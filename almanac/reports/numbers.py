"""Numbers as people read them."""

import math
import re
from collections.abc import Sequence
from typing import Any


def format_number(value: Any, digits: int = 2) -> str:
    """Return a number with thousands separators and `digits` decimals; a dash for None."""
    if value is None:
        return "–"
    # Before int, since a bool is one in Python.
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if isinstance(value, float) else str(value)


def is_text(value: Any) -> bool:
    """Return whether a cell is a text, set flush left, and not a number or a string that holds only one."""
    return isinstance(value, str) and re.fullmatch(r"[-+–]?[\d,.]*\s?%?", value) is None


def with_error(value: float, interval: Sequence[float] | None) -> str:
    """Return a figure with as many digits as its interval allows: two of the interval's half-width.

    Args:
        value: the figure.
        interval: both ends of its interval; three digits of the figure itself are shown without one.
    """
    half = abs(interval[1] - interval[0]) / 2 if interval is not None else 0.0
    if not math.isfinite(value):
        return str(value)
    if half > 0 and math.isfinite(half):
        decimals = 1 - math.floor(math.log10(half))
    else:
        decimals = 2 - (math.floor(math.log10(abs(value))) if value else 0)
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"
