"""Skewness and share of zeros of the newest window of a column."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from almanac.features.compiler.tracing import enough, present
from almanac.features.kind import Columns, Context, Declaration, Durations, Feature, FeatureKind, Inputs, Value
from almanac.features.windows import finite, total

Statistic = Literal["skew", "zero_share"]


class Distribution(Declaration):
    """Skewness or share of zeros of the newest window: `sales_skew_7d`, `sales_zero_share_28d`."""

    kind: Literal["distribution"]
    columns: Columns
    """Numeric columns."""
    windows: Durations
    """Lengths of the windows that end at the newest known row."""
    statistics: Annotated[list[Statistic], Field(min_length=1)]
    """Third standardised moment, missing of a constant window, or share of the present values that are 0."""
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the window that must be present."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column, window and statistic."""
        for column in self.columns:
            for window in self.windows:
                length = context.window(window)
                for statistic in self.statistics:
                    need = max(3 if statistic == "skew" else 1, math.ceil(self.min_share * length))
                    formula = _skew if statistic == "skew" else _zeros
                    yield Feature(f"{column}_{statistic}_{window}", formula, (column, length, need))


def _skew(inputs: Inputs, column: str, length: int, need: int) -> Value:
    x = inputs.column(column)
    count = enough(total(x.present, length), need)
    squares = inputs.squares(column)
    mean, second = total(x.deviation, length) / count, total(squares, length) / count
    third = total(squares * x.deviation, length) / count
    variance = second - mean * mean
    # Rounding leaves a tiny rest of a constant window, whose skewness would be noise.
    scale = variance + 0.0 * np.sqrt(variance - second * 2.0**-40)
    return finite((third - 3.0 * mean * second + 2.0 * mean * mean * mean) / (scale * np.sqrt(scale)))


def _zeros(inputs: Inputs, column: str, length: int, need: int) -> Value:
    x = inputs.column(column)
    count = enough(total(x.present, length), need)
    # 0 / 0 is missing, and any other number by itself is 1.
    return (count - total(present(x.values / x.values), length)) / count


KIND = FeatureKind(
    Distribution,
    [
        {
            "kind": "distribution",
            "columns": ["volume", "temp"],
            "windows": ["5h", "13h"],
            "statistics": ["skew", "zero_share"],
        }
    ],
)
