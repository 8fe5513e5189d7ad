"""The feature declarations; almanac.features turns them into a specification and executes it.

A row at time t holds what is known at t, that is data up to t minus the cutoff; every lag, window and
difference below counts back from that newest known row. The target is the value at t plus the horizon.
"""

from typing import Annotated, Literal

from pydantic import Field

from almanac.usecase.types import Duration, Name, Section


class _Feature(Section):
    group: Name
    """Category of the feature, for reports."""


class Value(_Feature):
    """The newest known value: `pm`."""

    kind: Literal["value"]
    columns: Annotated[list[Name], Field(min_length=1)]
    """Numeric columns."""


class Lag(_Feature):
    """Earlier values: `pm_lag_6h`."""

    kind: Literal["lag"]
    columns: Annotated[list[Name], Field(min_length=1)]
    """Numeric columns."""
    lags: Annotated[list[Duration], Field(min_length=1)]
    """How long before the newest known row."""


class Difference(_Feature):
    """Newest value less an earlier one: `pm_diff_6h`."""

    kind: Literal["difference"]
    columns: Annotated[list[Name], Field(min_length=1)]
    """Numeric columns."""
    lags: Annotated[list[Duration], Field(min_length=1)]
    """Distance of the two values."""


Statistic = Literal["mean", "std", "min", "max", "sum", "range", "slope", "count"]


class Rolling(_Feature):
    """A statistic of the newest window: `pm_mean_24h`."""

    kind: Literal["rolling"]
    columns: Annotated[list[Name], Field(min_length=1)]
    """Numeric columns."""
    windows: Annotated[list[Duration], Field(min_length=1)]
    """Lengths of the windows that end at the newest known row."""
    statistics: Annotated[list[Statistic], Field(min_length=1)]
    """Statistics of the values present; std has one delta degree of freedom, slope is per step, count never misses."""
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the window that must be present."""


class Ewm(_Feature):
    """An exponentially weighted mean over a window of eight half-lives: `pm_ewm_6h`."""

    kind: Literal["ewm"]
    columns: Annotated[list[Name], Field(min_length=1)]
    """Numeric columns."""
    half_lives: Annotated[list[Duration], Field(min_length=1)]
    """Age at which a value counts half."""


class Seasonal(_Feature):
    """A statistic of the same phase in earlier periods, aligned with the target: `pm_season_mean_24h_7`.

    The phase is that of the time `ahead` after the row's; the newest period counted is the newest one whose value is
    known, and never the row's own.
    """

    kind: Literal["seasonal"]
    columns: Annotated[list[Name], Field(min_length=1)]
    """Numeric columns."""
    period: Duration
    """Length of the season."""
    counts: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """How many periods back."""
    statistics: Annotated[list[Literal["mean", "std", "min", "max"]], Field(min_length=1)]
    """Statistics of the values present."""
    ahead: Duration = "0h"
    """Phase: the time this long after the row's."""


class Calendar(_Feature):
    """Parts of the calendar, as numbers: `hour`, `weekday`."""

    kind: Literal["calendar"]
    fields: Annotated[
        list[Literal["hour", "weekday", "weekend", "month", "quarter", "day_of_month", "day_of_year", "week", "year"]],
        Field(min_length=1),
    ]
    """Parts; Monday is 0."""
    ahead: Duration = "0h"
    """Of the time this long after the row's, known beforehand."""


class Cyclic(_Feature):
    """Sine and cosine of the phase in a period: `day_sin_1`, `year_cos_2`."""

    kind: Literal["cyclic"]
    periods: Annotated[list[Literal["day", "week", "year"]], Field(min_length=1)]
    """Periods; a year has 365.2425 days."""
    harmonics: Annotated[int, Field(ge=1, le=8)] = 1
    """How many multiples of the base frequency."""
    ahead: Duration = "0h"
    """Of the time this long after the row's, known beforehand."""


class Categorical(_Feature):
    """A category as a code (`wind`) or as one column for each value (`wind_is_nw`)."""

    kind: Literal["categorical"]
    columns: Annotated[list[Name], Field(min_length=1)]
    """Category columns."""
    encoding: Literal["code", "one_hot"] = "code"
    """Code in the order of the fitted category table, or indicators."""


class Vector(_Feature):
    """A direction and a magnitude as two components: `wind_east`, `wind_north`."""

    kind: Literal["vector"]
    name: Name
    """Stem of the two names."""
    direction: Name
    """Category column of the direction."""
    magnitude: Name
    """Numeric column of the length."""
    degrees: dict[str, float | None]
    """Compass angle of each category, clockwise from north; null has no direction, and both components are 0."""


class Elapsed(_Feature):
    """Steps since the condition last held: `since_rain`; `limit` where it did not hold within it.

    A missing value does not fulfil the condition.
    """

    kind: Literal["elapsed"]
    name: Name
    """Name of the feature."""
    column: Name
    """Numeric column."""
    above: float
    """The condition: value above this."""
    limit: Duration
    """Longest look back."""


class Interaction(_Feature):
    """Two features combined: `name = left (operation) right`; a ratio's denominator of zero gives a missing value."""

    kind: Literal["interaction"]
    name: Name
    """Name of the feature."""
    operation: Literal["ratio", "product", "difference", "sum"]
    """Operation."""
    left: Name
    """Feature declared before."""
    right: Name
    """Feature declared before."""


class Transform(_Feature):
    """A function of a feature: `name = function(feature)`."""

    kind: Literal["transform"]
    name: Name
    """Name of the feature."""
    function: Literal["log1p", "sqrt", "square", "abs", "exp"]
    """Function; outside its domain the value is missing."""
    feature: Name
    """Feature declared before."""


Feature = Annotated[
    Value
    | Lag
    | Difference
    | Rolling
    | Ewm
    | Seasonal
    | Calendar
    | Cyclic
    | Categorical
    | Vector
    | Elapsed
    | Interaction
    | Transform,
    Field(discriminator="kind"),
]


class Impute(Section):
    """Causal imputation: the last value is carried forward, at most so far."""

    limit: Duration = "0h"
    """How far; 0h imputes nothing."""
    columns: list[Name] | None = None
    """Columns; all input columns when absent. Targets are never imputed."""


class Features(Section):
    """The features, computed alike in training and at request time."""

    cutoff: Duration = "0h"
    """How long before the prediction time data must have been seen."""
    impute: Impute = Impute()
    """Imputation before the features."""
    items: Annotated[list[Feature], Field(min_length=1)]
    """The features, in order."""
