"""Differences of a column's newest value and earlier ones."""

from collections.abc import Iterator
from typing import Literal

from almanac.features.kind import Columns, Context, Declaration, Durations, Feature, FeatureKind, Inputs, Value, ago


class Difference(Declaration):
    """Newest value less an earlier one: `pm_diff_6h`."""

    kind: Literal["difference"]
    columns: Columns
    """Numeric columns."""
    lags: Durations
    """Distance of the two values."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column and lag."""
        for column in self.columns:
            for lag in self.lags:
                yield Feature(f"{column}_diff_{lag}", _difference, (column, context.steps(lag)))


def _difference(inputs: Inputs, column: str, lag: int) -> Value:
    values = inputs.column(column).values
    return values - ago(values, lag)


KIND = FeatureKind(Difference, [{"kind": "difference", "columns": ["volume"], "lags": ["1h", "7h"]}])
