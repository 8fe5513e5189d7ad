"""Section on evaluation: bands, groups and the bootstrap."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from almanac.usecase.types import Duration, Name, Section


class Bands(Section):
    """Bands of the last known value of the target's column, for coverage and slices."""

    edges: list[float]
    """Inner edges, ascending; a single band without any."""
    names: list[str] | None = None
    """Names, one more than edges; ranges when absent."""


class Group(Section):
    """A declared group for slices and disparities."""

    name: Name
    """Name of the group."""
    calendar: Literal["hour", "weekday", "weekend", "month", "quarter", "season"] | None = None
    """A part of the prediction time's calendar (season: of the northern hemisphere)."""
    column: Name | None = None
    """Or a category column, as known at prediction time, or the entity."""

    @model_validator(mode="after")
    def _one_of(self) -> "Group":
        if (self.calendar is None) == (self.column is None):
            raise ValueError("give either 'calendar' or 'column'")
        return self


class Evaluation(Section):
    """Evaluation on the held-out span."""

    season: Duration
    """Period of the seasonal baseline."""
    bands: Bands
    """Bands of the last known value."""
    groups: list[Group] = []
    """Groups."""
    block: Duration = "7d"
    """Block of the bootstrap."""
    repeats: Annotated[int, Field(ge=100)] = 500
    """Bootstrap repeats."""
