"""The features of a specification, one by one: what each is computed from, counted in grid steps.

Lags and ages count back from the newest known row, which lies the cutoff before the prediction time.
"""

from dataclasses import dataclass

SECOND = 1_000_000


@dataclass(frozen=True)
class Grid:
    """The time grid that durations are counted on.

    Attributes:
        frequency: distance of two rows, as a duration.
        cutoff: steps before the prediction time of the newest known row.
        categories: category tables by column.
    """

    frequency: str
    cutoff: int
    categories: dict[str, list[str]]


@dataclass(frozen=True)
class Node:
    """A feature.

    Attributes:
        name: its name.
        group: its category, for reports.
    """

    name: str
    group: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return tuple(v for v in (getattr(self, "column", None), getattr(self, "magnitude", None)) if v is not None)

    @property
    def reach(self) -> int:
        """Rows that it looks back on, the newest known one included."""
        return 1 if self.inputs else 0


@dataclass(frozen=True)
class Pick(Node):
    """The value `lag` steps ago."""

    column: str
    lag: int

    @property
    def reach(self) -> int:
        """Rows that it looks back on."""
        return self.lag + 1


@dataclass(frozen=True)
class Change(Pick):
    """The newest value less the one `lag` steps ago."""


@dataclass(frozen=True)
class Window(Node):
    """A statistic of the newest `length` rows, missing when fewer than `need` values are present."""

    column: str
    length: int
    statistic: str
    need: int

    @property
    def reach(self) -> int:
        """Rows that it looks back on."""
        return self.length


@dataclass(frozen=True)
class Decay(Node):
    """The mean of the newest `length` rows, weighted by a half for each half-life of age."""

    column: str
    half_life: int
    length: int

    @property
    def reach(self) -> int:
        """Rows that it looks back on."""
        return self.length


@dataclass(frozen=True)
class Season(Node):
    """A statistic of the rows at these lags."""

    column: str
    lags: tuple[int, ...]
    statistic: str

    @property
    def reach(self) -> int:
        """Rows that it looks back on."""
        return self.lags[-1] + 1


@dataclass(frozen=True)
class Clock(Node):
    """A part of the calendar, `ahead` seconds after the prediction time."""

    field: str
    ahead: int


@dataclass(frozen=True)
class Phase(Node):
    """Sine or cosine of the phase in a period, `ahead` seconds after the prediction time."""

    period: str
    harmonic: int
    cosine: bool
    ahead: int


@dataclass(frozen=True)
class Indicator(Node):
    """1 where the category has this code, else 0."""

    column: str
    code: int


@dataclass(frozen=True)
class Component(Node):
    """A magnitude times a factor that the direction's code selects."""

    column: str
    magnitude: str
    factors: tuple[float, ...]


@dataclass(frozen=True)
class Since(Node):
    """Steps since the column was above a value, at most `limit`."""

    column: str
    above: float
    limit: int

    @property
    def reach(self) -> int:
        """Rows that it looks back on."""
        return self.limit


@dataclass(frozen=True)
class Combine(Node):
    """Two features, given by their positions, combined."""

    operation: str
    left: int
    right: int


@dataclass(frozen=True)
class Apply(Node):
    """A function of a feature, given by its position."""

    function: str
    of: int
