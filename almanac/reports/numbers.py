"""Numbers as people read them."""

import re
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
