"""Origins of the history's rows, one module an origin.

Each has a function that finds the parts which the origin consists of, such as its run directories, and one that deletes
the rows of a part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

Rows = Iterator[tuple[Table, dict[str, Any]]]

__all__ = ["Part", "Rows"]


@dataclass(frozen=True)
class Part:
    """A part of an origin: its rows are read, and replaced, together.

    Attributes:
        kind: of the origin.
        key: unique among the parts of its kind.
        state: what tells one content from another: sizes and times of files, or the newest record of a log.
        rows: reads it, and yields (table, row) for what it finds.
    """

    kind: str
    key: str
    state: str
    rows: Callable[[], Rows]
