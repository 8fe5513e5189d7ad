"""Statistics of earlier windows of a column."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from almanac.features.kind import Columns, Context, Declaration, Durations, Feature, FeatureKind, Inputs, Value, ago
from almanac.features.kinds.rolling import LEAST, Statistic, rolling


class RollingLag(Declaration):
    """A statistic of the window that ended some time ago: `load_mean_24h_lag_7d`."""

    kind: Literal["rolling_lag"]
    columns: Columns
    """Numeric columns."""
    windows: Durations
    """Lengths of the windows."""
    lags: Durations
    """How long before the newest known row the windows end."""
    statistics: Annotated[list[Statistic], Field(min_length=1)]
    """Statistics, as of `rolling`."""
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the window that must be present."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column, window, lag and statistic."""
        for column in self.columns:
            for window in self.windows:
                length = context.window(window)
                for lag in self.lags:
                    for statistic in self.statistics:
                        need = max(LEAST.get(statistic, 1), math.ceil(self.min_share * length))
                        arguments = (column, statistic, length, need, context.window(lag))
                        yield Feature(f"{column}_{statistic}_{window}_lag_{lag}", _lagged, arguments)


def _lagged(inputs: Inputs, column: str, statistic: Statistic, length: int, need: int, lag: int) -> Value:
    return ago(rolling(inputs, column, statistic, length, need), lag)


KIND = FeatureKind(
    RollingLag,
    [
        {
            "kind": "rolling_lag",
            "columns": ["volume"],
            "windows": ["5h"],
            "lags": ["1h", "7h"],
            "statistics": ["mean", "std", "max", "slope"],
        }
    ],
)
