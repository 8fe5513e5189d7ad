"""The first difference between what a file states and what is computed again, with its place."""

import math
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from governance.documents.artifacts import escape

#: Another processor may round sums differently in the last digits.
TOLERANCE = 1e-9
_SHOWN = 60


def same_number(stated: float, computed: float) -> bool:
    """Return whether two numbers agree but for rounding."""
    # At zero, such as a bias that cancels out, a relative tolerance allows nothing.
    return math.isclose(stated, computed, rel_tol=TOLERANCE, abs_tol=1e-12)


def json_difference(stated: Any, computed: Any) -> str | None:
    """Return the first difference of two JSON documents as `#pointer: states …, not …`, None if there is none."""
    return next(_differences(stated, computed, ""), None)


def text_difference(stated: str, computed: str) -> str | None:
    """Return the first differing line as `line n: says …, not …`, None if the texts are the same."""
    if stated == computed:
        return None
    # Line ends count, too: an altered one is an altered byte.
    lines = zip_longest(stated.splitlines(keepends=True), computed.splitlines(keepends=True), fillvalue="")
    for number, (said, expected) in enumerate(lines, 1):
        if said != expected:
            return f"line {number}: says {_around(said, expected)}, not {_around(expected, said)}"
    return "differs"


def _differences(stated: Any, computed: Any, pointer: str) -> Iterator[str]:
    if isinstance(stated, dict) and isinstance(computed, dict):
        for key in dict.fromkeys([*computed, *stated]):
            place = f"{pointer}/{escape(str(key))}"
            if key not in stated:
                yield f"#{place}: is missing; {_short(computed[key])} belongs there"
            elif key not in computed:
                yield f"#{place}: states {_short(stated[key])}, which nothing gives"
            else:
                yield from _differences(stated[key], computed[key], place)
        if list(stated) != list(computed):
            yield f"#{pointer or '/'}: its entries are in another order"
    elif isinstance(stated, list) and isinstance(computed, list):
        for index, (said, expected) in enumerate(zip(stated, computed, strict=False)):
            yield from _differences(said, expected, f"{pointer}/{index}")
        if len(stated) != len(computed):
            yield f"#{pointer or '/'}: has {len(stated)} entries, not {len(computed)}"
    elif not _equal(stated, computed):
        yield f"#{pointer or '/'}: states {_short(stated)}, not {_short(computed)}"


def _equal(stated: Any, computed: Any) -> bool:
    # A bool is an int to Python, and 1 is no answer where `true` was.
    if type(stated) is not type(computed) or not isinstance(stated, float):
        return type(stated) is type(computed) and bool(stated == computed)
    return same_number(stated, computed)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _around(line: str, other: str) -> str:
    """Return the part of a line where it begins to differ from another."""
    if not line.strip():
        return "an empty line" if line else "nothing"
    place = next((at for at, pair in enumerate(zip(line, other, strict=False)) if pair[0] != pair[1]), len(other))
    # From the beginning of the word, so that a digit is shown with its number.
    start = max(match.end() for match in re.finditer(r"^|\s", line[: place + 1]))
    return _short(line[max(0, start - 10) :].rstrip("\n"))
