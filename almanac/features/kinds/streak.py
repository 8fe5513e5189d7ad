"""Runs of equal outcomes."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from almanac.features.events.kind import Asked, EventDeclaration, EventKind, Events, Past


class Streak(EventDeclaration):
    """How many of the newest events lay on one side of a value: `home_scored_streak`, negative at or below it."""

    kind: Literal["streak"]
    columns: Annotated[list[str], Field(min_length=1)]
    """Outcomes, other numeric columns, or sides."""
    above: float = 0.0
    """The value."""
    most: Annotated[int, Field(ge=1)] = 20
    """Largest number; a longer streak counts as so many."""

    def asked(self, events: Events) -> Asked:
        """Return the streak of each column."""
        self.check_columns(events, self.columns)
        columns = tuple(self.columns)
        names = tuple(f"{column}_streak" for column in columns)
        return Asked(columns, names, partial(_streaks, columns, self.above, self.most))


def _streaks(columns: tuple[str, ...], above: float, most: int, past: Past) -> list[float]:
    newest = past.columns(columns, most)[::-1]
    return [_streak(newest[:, place].tolist(), above) for place in range(len(columns))]


def _streak(newest: list[float], above: float) -> float:
    # A missing value is unequal to itself, and belongs to no streak.
    known = [value > above for value in newest if value == value]
    if not known:
        return float("nan")
    length = next((place for place, side in enumerate(known) if side != known[0]), len(known))
    return float(length if known[0] else -length)


KIND = EventKind(
    Streak,
    [
        {"kind": "streak", "of": "team", "columns": ["scored"], "above": 3.0, "difference": True},
        {"kind": "streak", "of": "park", "columns": ["margin"], "most": 2},
    ],
)
