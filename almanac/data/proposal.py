"""A proposal before it is written: the values that its text, its assumptions and its doubts come from."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from almanac.data.infer import Inferred
from almanac.data.infer_ahead import Ahead
from almanac.data.propose_source import Brought
from almanac.usecase.types import to_duration


@dataclass(frozen=True)
class Draft:
    """The values of a proposal.

    Attributes:
        name: Name of the use case.
        brought: The table as it was given.
        facts: Facts about the table.
        target: Column that is forecast, in the table's name.
        horizon: How far ahead.
        names: Name in the use case of every column that is kept.
        span: First and last time of the table.
        test_days: Length of the test span, the newest days.
        folds: Number of folds.
        fold: Length of a fold.
        cycles: Periods after which the series may repeat, shortest first.
        years: Length of the training span in years.
        edges: Inner edges of the bands.
        rows: Rows with a target before the test span.
        stated: What a person chose, such as target or horizon.
        ahead: Columns that are known ahead.
        binary: Whether the target is true or false, and its probability is forecast.
    """

    name: str
    brought: Brought
    facts: Inferred
    target: str
    horizon: timedelta
    names: dict[str, str]
    span: tuple[datetime, datetime]
    test_days: int
    folds: int
    fold: timedelta
    cycles: list[timedelta]
    years: float
    edges: list[float]
    rows: int
    stated: frozenset[str]
    ahead: Ahead
    binary: bool

    @property
    def time(self) -> str:
        """Time column, in the table's name."""
        return str(self.facts.read.time.column)

    @property
    def others(self) -> dict[str, str]:
        """Type of each column but the target, by its name in the use case."""
        return {self.names[raw]: its.type for raw, its in self.facts.columns.items() if raw != self.target}

    @property
    def many(self) -> list[str]:
        """Names of the categories whose levels are learned."""
        return [self.names[raw] for raw, its in self.facts.columns.items() if its.many]

    @property
    def forecast(self) -> str:
        """Name of the target."""
        return f"{self.names[self.target]}_{to_duration(self.horizon)}"

    @property
    def taken(self) -> set[str]:
        """Names of columns, which no feature may have: those of time and entity are among them."""
        return set(self.names.values())

    @property
    def season(self) -> timedelta:
        """Period of the seasonal baseline."""
        return self.cycles[0] if self.cycles else 4 * self.facts.step

    def origin(self, choice: str, reason: str) -> str:
        """Return a comment on where a value comes from: an option, or the inference's reason."""
        return f"given by --{choice}" if choice in self.stated else f"inferred: {reason}"
