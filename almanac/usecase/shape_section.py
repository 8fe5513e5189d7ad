"""Steps that give a source the shape of a table with one row for each time (and entity)."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from almanac.core.kinds import Kinds
from almanac.usecase.types import Length, Name, Section, union_of


class ShapeBase(Section):
    """The fields of every step; each module of `almanac.data.shapes` adds those of its kind."""

    step: str
    """Kind of the step."""


SHAPES: Kinds[Any] = Kinds("shape", "almanac.data.shapes", "almanac.shapes")

if TYPE_CHECKING:
    Shape = ShapeBase
else:
    Shape = union_of(SHAPES, "step")


class Resample(Section):
    """Rows gathered to steps: each step's row has the time at which the step begins."""

    every: Length
    """Length of a step; a time is floored to it in UTC."""
    columns: Annotated[
        dict[Name, Literal["sum", "mean", "first", "last", "min", "max", "median", "count"]], Field(min_length=1)
    ]
    """Aggregate of each column, by the name used here; missing values are left out of it."""
    count: Name | None = None
    """Column that receives the number of rows of each step."""
    empty: Literal["leave", "zero"] = "leave"
    """Steps without a row, between the first and the last: left out, or with sums and counts of 0."""
