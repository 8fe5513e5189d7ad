"""Exponentially weighted means of a column."""

from collections.abc import Iterator
from typing import Literal

from almanac.features.kind import Columns, Context, Declaration, Durations, Feature, FeatureKind, Inputs, Value
from almanac.features.windows import faded, mean


class Ewm(Declaration):
    """An exponentially weighted mean over a window of eight half-lives: `pm_ewm_6h`."""

    kind: Literal["ewm"]
    columns: Columns
    """Numeric columns."""
    half_lives: Durations
    """Age at which a value counts half."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column and half-life."""
        for column in self.columns:
            for half_life in self.half_lives:
                yield Feature(f"{column}_ewm_{half_life}", _ewm, (column, context.window(half_life)))


def _ewm(inputs: Inputs, column: str, half_life: int) -> Value:
    x = inputs.column(column)
    # Older values weigh less than 1/256; to stop there keeps the look back short and known.
    values, weight = (faded(leaf, 8 * half_life, half_life) for leaf in (x.deviation, x.present))
    return mean(values, weight, x.centre)


KIND = FeatureKind(Ewm, [{"kind": "ewm", "columns": ["volume", "temp"], "half_lives": ["1h", "3h"]}])
