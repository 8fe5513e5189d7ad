"""Statistics of the newest window of a column."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal, assert_never

import numpy as np
from pydantic import Field

from almanac.features.compiler.tracing import Expression, enough
from almanac.features.kind import Columns, Context, Declaration, Durations, Feature, FeatureKind, Inputs, Value
from almanac.features.windows import aged, extreme, mean, standard_deviation, total

Statistic = Literal["mean", "std", "min", "max", "sum", "range", "slope", "count"]
#: Values that a statistic needs at least; 1 for others.
LEAST: dict[Statistic, int] = {"std": 2, "slope": 2, "count": 0}


class Rolling(Declaration):
    """A statistic of the newest window: `pm_mean_24h`."""

    kind: Literal["rolling"]
    columns: Columns
    """Numeric columns."""
    windows: Durations
    """Lengths of the windows that end at the newest known row."""
    statistics: Annotated[list[Statistic], Field(min_length=1)]
    """Statistics of the values present; std has one delta degree of freedom, slope is per step, count never misses."""
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the window that must be present."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column, window and statistic."""
        for column in self.columns:
            for window in self.windows:
                length = context.window(window)
                for statistic in self.statistics:
                    # A deviation or a slope of a single value says nothing.
                    need = max(LEAST.get(statistic, 1), math.ceil(self.min_share * length))
                    yield Feature(f"{column}_{statistic}_{window}", rolling, (column, statistic, length, need))


def rolling(inputs: Inputs, column: str, statistic: Statistic, length: int, need: int) -> Value:
    """Return a statistic of the newest window; missing where fewer than `need` values are present."""
    x = inputs.column(column)
    present = total(x.present, length)
    # A count of nothing is 0, so that this one never misses.
    if statistic == "count":
        return present
    count = enough(present, need)
    # The count less itself is 0, or NaN where too few values are present.
    short = count - count
    # On complete rows the count is a number, and adding 0 would be a step for nothing.
    if not isinstance(short, Expression) and short == 0:
        short = None
    match statistic:
        case "max":
            return _where(extreme(np.fmax, x.values, length), short)
        case "min":
            return _where(extreme(np.fmin, x.values, length), short)
        case "range":
            return _where(extreme(np.fmax, x.values, length) - extreme(np.fmin, x.values, length), short)
        case "mean":
            return mean(total(x.deviation, length), count, x.centre)
        case "sum":
            return total(x.deviation, length) + count * x.centre
        case "std":
            return standard_deviation(total(x.deviation, length), total(inputs.squares(column), length), count)
        case "slope":
            return _slope(x.deviation, x.present, length, count)
        case _:
            assert_never(statistic)


def _where(values: Value, short: Value | None) -> Value:
    return values if short is None else values + short


def _slope(deviation: Value, present: Value, length: int, count: Value) -> Value:
    """Return the least-squares slope per step, from sums over the values and over their ages."""
    values, moment = total(deviation, length), aged(deviation, length, 1)
    age, square = aged(present, length, 1), aged(present, length, 2)
    return (age * values - count * moment) / (count * square - age * age)


KIND = FeatureKind(
    Rolling,
    [
        {
            "kind": "rolling",
            "columns": ["volume"],
            "windows": ["1h", "5h", "13h"],
            "statistics": ["mean", "std", "min", "max", "sum", "range", "slope", "count"],
        },
        {"kind": "rolling", "columns": ["temp"], "windows": ["7h"], "statistics": ["max", "std"], "min_share": 0.9},
    ],
)
