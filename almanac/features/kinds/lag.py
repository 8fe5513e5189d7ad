"""Earlier values of a column."""

from collections.abc import Iterator
from typing import Literal

from almanac.features.kind import Columns, Context, Declaration, Durations, Feature, FeatureKind, Inputs, Value, ago


class Lag(Declaration):
    """Earlier values: `pm_lag_6h`."""

    kind: Literal["lag"]
    columns: Columns
    """Numeric columns."""
    lags: Durations
    """How long before the newest known row."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column and lag."""
        for column in self.columns:
            for lag in self.lags:
                yield Feature(f"{column}_lag_{lag}", _lagged, (column, context.steps(lag)))


def _lagged(inputs: Inputs, column: str, lag: int) -> Value:
    return ago(inputs.column(column).values, lag)


KIND = FeatureKind(Lag, [{"kind": "lag", "columns": ["volume"], "lags": ["1h", "5h"]}])
