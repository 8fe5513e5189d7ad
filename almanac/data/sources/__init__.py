"""Sources of tables, one module a kind: its declaration in the use case file, and the way to its bytes.

A kind from another package is registered by an entry point of the group `almanac.sources`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.data.cache import Cache, Content
from almanac.usecase.data_section import SourceBase

__all__ = ["FetchContext", "RetryPolicy", "SourceBase", "SourceKind"]


@dataclass(frozen=True)
class RetryPolicy:
    """Retries of an address that does not answer.

    Attributes:
        attempts: How often each address is tried.
        first_wait: Seconds before the second attempt; doubled from attempt to attempt.
        longest_wait: Most seconds between two attempts.
        timeout: Seconds without an answer, or without a byte of it.
    """

    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 8.0
    timeout: float = 30.0


@dataclass(frozen=True)
class FetchContext:
    """The surroundings in which sources are fetched.

    Attributes:
        base: Directory of the use case file; paths of file sources are relative to it.
        cache: The cache.
        retries: The retry policy.
    """

    base: Path
    cache: Cache
    retries: RetryPolicy = RetryPolicy()


@dataclass(frozen=True)
class SourceKind:
    """A kind of source.

    Attributes:
        name: The `type` by which a use case asks for it.
        declaration: Its section of the use case file, with `type: Literal[name]`.
        attempts: Takes a declared source; returns the calls that fetch its bytes, in the order in which to try
            them. Each raises SourceError where it fails.
        format: Format of the bytes, where the kind and not `read.format` decides on it.
    """

    name: str
    declaration: type[SourceBase]
    attempts: Callable[[Any, FetchContext], Iterable[Callable[[], Content]]]
    format: str | None = None
