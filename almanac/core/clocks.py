"""The two clocks that times are of: the wall's, and the data's.

A time of the wall clock is written with its zone (`2026-01-31T06:00:00+00:00`), a time of the data's clock without one
(`2014-12-31T23:00:00`); so a reader knows the clock of every time in an artifact. The data's clock is that of the
observations, in UTC. For an archive it stands still at the use case's `validation.staleness.as_of`, which may be years
behind the wall. A figure of one clock is never subtracted from a figure of the other.
"""

from datetime import UTC, datetime
from typing import Literal

Clock = Literal["wall", "data"]


def clock_of(time: str) -> Clock:
    """Return the clock that a time in an artifact is of.

    Raises:
        ValueError: not a time in ISO 8601.
    """
    return "data" if datetime.fromisoformat(time).tzinfo is None else "wall"


def wall_time(moment: datetime | None = None) -> str:
    """Return a moment of the wall clock as artifacts have it, to the second; the present when None.

    Raises:
        ValueError: a moment without a zone, which is of the data's clock.
    """
    moment = moment or datetime.now(UTC)
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no zone; a time of the wall clock has one")
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def data_time(moment: datetime) -> str:
    """Return a moment of the data's clock as artifacts have it.

    Raises:
        ValueError: a moment with a zone, which is of the wall clock.
    """
    if moment.tzinfo is not None:
        raise ValueError(f"{moment.isoformat()} has a zone; a time of the data's clock has none")
    return moment.isoformat()


def seconds_of(time: str, clock: Clock) -> float:
    """Return the seconds since 1970 of a time in an artifact.

    Args:
        time: in ISO 8601.
        clock: the clock that it must be of.

    Raises:
        ValueError: a time of the other clock.
    """
    if clock_of(time) != clock:
        written = "with its zone, such as 2026-01-31T06:00:00Z" if clock == "wall" else "without a zone"
        raise ValueError(f"{time!r} is not a time of the {clock} clock, which is written {written}")
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
