"""Levels of categories and their codes."""

from collections.abc import Iterable, Sequence
from typing import Any

#: Last level of an open category: the bucket of every text that is none of its levels.
OTHER = "(other)"
_SHOWN = 10


class OpenCodes(dict[str, float]):
    """Codes of an open category: a text that is no level has the code of the bucket."""

    def __contains__(self, level: object) -> bool:
        """Return whether it is a text, all of which have a code."""
        return isinstance(level, str)

    def __missing__(self, level: str) -> float:
        """Return the bucket's code."""
        return dict.__getitem__(self, OTHER)

    def get(self, level: str, default: Any = None) -> Any:
        """Return the code of a level."""
        return self[level]


def is_open(levels: Sequence[str] | None) -> bool:
    """Return whether levels end with the bucket for all others."""
    return bool(levels) and levels[-1] == OTHER  # type: ignore[index]


def codes_of(levels: Sequence[str]) -> dict[str, float]:
    """Return the code of each level, its position."""
    codes = {level: float(code) for code, level in enumerate(levels)}
    return OpenCodes(codes) if is_open(levels) else codes


def some(levels: Iterable[str]) -> str:
    """Return at most ten levels for a message, and the number of the others."""
    levels = list(levels)
    more = f" and {len(levels) - _SHOWN:,} more" if len(levels) > _SHOWN else ""
    return f"{', '.join(levels[:_SHOWN])}{more}"
