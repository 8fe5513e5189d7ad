"""Section on the columns of the joined table."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from almanac.core.levels import OTHER, is_open
from almanac.usecase.types import Name, Section, absent


class Derived(Section):
    """A column computed from others of its row."""

    operation: Literal["sum", "difference", "product", "ratio", "greater", "log", "us_odds"]
    """Operation; greater is 1 or 0; us_odds is the vig-free probability of `left`, by both prices in US odds."""
    left: Name
    """Column."""
    right: Name | float | int | None = None
    """Column or number; absent for a logarithm."""

    @model_validator(mode="after")
    def _operands(self) -> "Derived":
        if (self.operation == "log") != (self.right is None):
            raise ValueError("'right' belongs to every operation but log")
        return self


class Others(Section):
    """A statistic of a column over the other entities at the same time."""

    column: Name
    """Numeric column."""
    statistic: Literal["mean", "sum", "count"] = "mean"
    """Statistic of the values present; count is their number."""


class Column(Section):
    """One column of the joined table."""

    type: Literal["float", "integer", "boolean", "date", "category", "text"]
    """Type of its values; a boolean is 0 or 1, a date the days since 1970-01-01; a text identifies something, such as a
    pitcher whose history counts, and is no feature."""
    description: str = ""
    """Measured quantity; the column's name when absent."""
    unit: str | None = None
    """Unit of its values."""
    min: float | None = None
    """Smallest possible value."""
    max: float | None = None
    """Largest possible value."""
    categories: list[str] | None = None
    """All values of a category; learned from the training span when absent. With (other) as the last one, a value that
    is none of them counts as that; learned levels always end with it."""
    max_levels: Annotated[int | None, Field(ge=1), absent(None)] = None
    """Of learned levels, only so many of the most frequent ones; the others count as (other)."""
    max_missing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest share of missing values; more is an error."""
    derived: Annotated[Derived | None, absent(None)] = None
    """Computation from other columns, where no source has it."""
    others: Annotated[Others | None, absent(None)] = None
    """Or a statistic over the other entities; it is known when their values are, at the row's own time."""

    @property
    def is_open(self) -> bool:
        """Whether it is a category that takes any text, most of which count as the bucket."""
        return self.type == "category" and (self.categories is None or is_open(self.categories))

    @model_validator(mode="after")
    def _consistent(self) -> "Column":
        if self.max_levels is not None and (self.type != "category" or self.categories is not None):
            raise ValueError("'max_levels' belongs to a category whose levels are learned, without 'categories'")
        if self.categories is not None and OTHER in self.categories[:-1]:
            raise ValueError(f"{OTHER!r} is the bucket of all other levels; write it last in 'categories'")
        if self.type != "category" and self.categories is not None:
            raise ValueError("'categories' belongs to type category only")
        if self.categories is not None and len(set(self.categories)) < len(self.categories):
            raise ValueError("'categories' lists a value twice")
        if self.categories is not None and (self.min is not None or self.max is not None):
            raise ValueError("'min' and 'max' belong to numbers")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self
