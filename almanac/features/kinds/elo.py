"""Elo ratings of two roles."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from almanac.features.events.kind import Asked, EventDeclaration, EventKind, Events, Past, Running

_START = 1500.0
_DAY = 86_400_000_000


class Elo(EventDeclaration):
    """Ratings of both roles, and the first one's chance to win: `home_elo`, `away_elo`, `elo_probability`.

    Each event moves rating from the loser to the winner, the more the less it was expected (Elo, 1978, "The Rating of
    Chessplayers, Past and Present"); after a long rest, such as a winter, a rating returns a part of the way to 1500.
    """

    kind: Literal["elo"]
    column: str
    """Outcome that the first role wins above 0, and loses below."""
    k: Annotated[float, Field(gt=0)] = 4.0
    """Largest number of points that an event can move."""
    advantage: float = 0.0
    """Points by which the first role is favoured, such as a home team."""
    rest: Annotated[int, Field(ge=1)] = 90
    """Days without an event after which a rating returns."""
    kept: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Share of the distance from 1500 that is then kept."""
    name: str = "elo"
    """Name of the ratings, where there are several."""

    def asked(self, events: Events) -> Asked:
        """Return the rating of each role, and the first one's chance."""
        if len(events.roles_of(events.entity(self.of))) != 2:
            raise ValueError(f"of: {self.of} has no two roles, between which a rating could move")
        if self.column in events.sides:
            raise ValueError(f"column: {self.column} is a side; expected an outcome of the first role")
        return Asked(
            (self.column,),
            (self.name,),
            partial(_rating, self._running, self.rest, self.kept),
            Running(self._running, _START, partial(_updated, self.k, self.advantage, self.rest, self.kept)),
            (f"{self.name}_probability", partial(_chance, self.advantage)),
        )

    @property
    def _running(self) -> str:
        return f"__{self.name}"


def _rating(column: str, rest: int, kept: float, past: Past) -> list[float]:
    if not len(past.times):
        return [_START]
    days = (past.at - int(past.times[-1])) / _DAY
    return [_rested(float(past.values[-1, past.places[column]]), days, rest, kept)]


def _rested(rating: float, days: float, rest: int, kept: float) -> float:
    return _START + (rating - _START) * kept if days > rest else rating


def _updated(
    k: float,
    advantage: float,
    rest: int,
    kept: float,
    before: Sequence[float],
    days: Sequence[float],
    values: Sequence[float],
) -> list[float]:
    first, second = (_rested(rating, gap, rest, kept) for rating, gap in zip(before, days, strict=True))
    margin = values[0]
    if margin != margin:
        return [first, second]
    won = 1.0 if margin > 0 else 0.0 if margin < 0 else 0.5
    moved = k * (won - _expected(first + advantage, second))
    return [first + moved, second - moved]


def _chance(advantage: float, ratings: Sequence[Sequence[float]]) -> float:
    return _expected(ratings[0][0] + advantage, ratings[1][0])


def _expected(first: float, second: float) -> float:
    return float(1.0 / (1.0 + 10.0 ** ((second - first) / 400.0)))


KIND = EventKind(
    Elo,
    [
        {"kind": "elo", "of": "team", "column": "margin", "k": 20.0, "advantage": 24.0, "difference": True},
        {"kind": "elo", "of": "team", "column": "margin", "name": "slow", "rest": 3, "kept": 0.5},
    ],
)
