"""What every section of a use case file shares: strictness, durations and names."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_DURATION = re.compile(r"^(\d+)(min|h|d)$")
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Section(BaseModel):
    """A section of the use case file: unknown fields are errors, values are never coerced or changed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def to_timedelta(duration: str) -> timedelta:
    """Return a duration such as 30min, 6h or 7d as a timedelta."""
    match = _DURATION.match(duration)
    if match is None:
        raise ValueError(
            f"{duration!r} is not a duration; write a whole number and min, h or d, such as 30min, 6h or 7d"
        )
    return int(match[1]) * _UNITS[match[2]]


def to_microseconds(duration: str) -> int:
    """Return a duration in whole microseconds."""
    return to_timedelta(duration) // timedelta(microseconds=1)


def to_utc(text: str) -> datetime:
    """Return an ISO 8601 time, or the day that a date begins, in naive UTC.

    Raises:
        ValueError: it is neither.
    """
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def steps(duration: str, frequency: str) -> int:
    """Return how many grid steps of `frequency` make up `duration`.

    Raises:
        ValueError: the duration is not a whole number of steps.
    """
    whole, rest = divmod(to_timedelta(duration), to_timedelta(frequency))
    if rest:
        raise ValueError(f"{duration} is not a whole number of steps of {frequency}")
    return whole


def _check_duration(duration: str) -> str:
    to_timedelta(duration)
    return duration


#: A length of time: a whole number and a unit, such as 30min, 6h or 7d.
Duration = Annotated[str, AfterValidator(_check_duration), Field(examples=["30min", "6h", "7d"])]

#: A name that can be a column, a feature, a file and a Kubernetes label: lower case, digits and underscores.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

#: A sha256 in hexadecimal.
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
