"""A feature kind: everything that an extension needs to add one as a single module.

A module of `almanac.features.kinds`, or one that an entry point `almanac.features` names, declares what the use case
file says, yields the features with their formulas, and gives the project's kinds as `KIND`:

    class Lag(Declaration):
        kind: Literal["lag"]
        column: Name
        lag: Duration

        def features(self, context: Context) -> Iterator[Feature]:
            yield Feature(f"{self.column}_lag_{self.lag}", _lagged, (self.column, context.steps(self.lag)))

    def _lagged(inputs: Inputs, column: str, lag: int) -> Value:
        return ago(inputs.column(column).values, lag)

    KIND = FeatureKind(Lag, [{"kind": "lag", "column": "volume", "lag": "6h"}])
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from almanac.core.grid import Grid
from almanac.features.compiler.formula import Feature, Inputs
from almanac.features.compiler.tracing import Value, ago
from almanac.usecase.events_section import Events
from almanac.usecase.features_section import FeatureDeclaration
from almanac.usecase.types import Duration, Name, absent, steps, to_microseconds

__all__ = [
    "Columns",
    "Context",
    "Declaration",
    "Duration",
    "Durations",
    "Feature",
    "FeatureKind",
    "Inputs",
    "LaterDeclaration",
    "LearnedFromTarget",
    "Name",
    "Value",
    "ago",
    "seconds",
]

Columns = Annotated[list[Name], Field(min_length=1)]
Durations = Annotated[list[Duration], Field(min_length=1)]


@dataclass(frozen=True)
class Context:
    """The use case around a declaration, in grid steps.

    Attributes:
        frequency: distance of two rows, as a duration.
        cutoff: steps before the prediction time of the newest known row.
        categories: category tables by column.
        learned: what the declaration has learned from the training rows; None before.
        events: the section on events; None for a grid.
        zone: IANA zone whose local time the calendar is of; None for UTC.
        grid: grid of the times; None for one without closed days.
    """

    frequency: str
    cutoff: int
    categories: Mapping[str, list[str]]
    learned: Any = None
    events: Events | None = None
    zone: str | None = None
    grid: Grid | None = None

    def steps(self, duration: str) -> int:
        """Return how many steps a duration has."""
        return steps(duration, self.frequency)

    def window(self, duration: str) -> int:
        """Return how many steps a duration has, at least one."""
        if (count := self.steps(duration)) < 1:
            raise ValueError(f"{duration} must be at least one step of {self.frequency}")
        return count

    def table(self, column: str) -> list[str]:
        """Return the category table of a column."""
        if column not in self.categories:
            raise ValueError(f"{column} is not a category column; known: {', '.join(self.categories) or 'none'}")
        return self.categories[column]


@dataclass(frozen=True)
class LearnedFromTarget:
    """A feature whose values are learned from a target, which training computes anew for each block of rows.

    Attributes:
        feature: name of the feature.
        column: category column.
        target: name of the target.
        smoothing: weight of the mean of all rows in that of each level, as a number of rows.
    """

    feature: str
    column: str
    target: str
    smoothing: float


class Declaration(FeatureDeclaration, ABC):
    """The declaration of features in a use case file; a kind adds `kind: Literal[...]` and its own fields."""

    @abstractmethod
    def features(self, context: Context) -> Iterator[Feature]:
        """Yield the features, in order.

        Raises:
            ValueError: the declaration does not fit the use case; the message says what would.
        """

    def learn(self, training: Callable[[str], npt.NDArray[np.float64]]) -> Any:
        """Return the parameters that the formulas take from the training rows, as JSON data.

        Args:
            training: gives a column's values on the training rows: NaN where missing, codes for a category; under
                `y_<target>` those of a target that `learned_from_targets` names.
        """
        return None

    def learned_from_targets(self) -> Iterator[LearnedFromTarget]:
        """Yield the features that are learned from a target."""
        return iter(())


class LaterDeclaration(Declaration):
    """The declaration of features of a later time; a kind adds `kind: Literal[...]`, `ahead` and its own fields."""

    name_ahead: Annotated[bool, absent(False)] = False
    """Whether names end with `ahead`, such as `hour_ahead_3h`, for items that differ in nothing else."""

    def named(self, name: str, ahead: Duration) -> str:
        """Return the name of a feature of the time `ahead` after the row's."""
        return f"{name}_ahead_{ahead}" if self.name_ahead else name


@dataclass(frozen=True)
class FeatureKind:
    """A kind of features.

    Attributes:
        declaration: what a use case file says of it.
        example: declarations that the property tests run; columns are `volume` and `temp`, numbers, and `weather`, with
            the categories Clear, Clouds, Fog and Mist, every hour; the target is `volume_3h`.
    """

    declaration: type[Declaration]
    example: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        """Name by which a use case file asks for it."""
        return str(get_args(self.declaration.model_fields["kind"].annotation)[0])


def seconds(duration: str) -> int:
    """Return a duration in seconds."""
    return to_microseconds(duration) // 1_000_000
