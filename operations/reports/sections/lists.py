"""Lists under a heading, as the sections on people's and the agent's work show them."""

from collections.abc import Iterator, Sequence
from typing import Any

from almanac.reports import Block, Note, Section, Table

_MOST = 50


def listed(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[Block]:
    """Yield the last rows under a heading, or one line that there are none."""
    if not rows:
        yield Note(f"{title}: none.")
        return
    rest = [Note(f"The last {_MOST} of {len(rows)}.")] if len(rows) > _MOST else []
    yield Section(title, [Table(header, rows[-_MOST:]), *rest])
