"""A feature kind: how fast a column has changed, per step."""

from collections.abc import Iterator
from typing import Literal

from almanac.features.kind import Columns, Context, Declaration, Durations, Feature, FeatureKind, Inputs, Value, ago


class Momentum(Declaration):
    """Average change per step over a window: `pm_momentum_6h`."""

    kind: Literal["momentum"]
    columns: Columns
    """Numeric columns."""
    windows: Durations
    """How far back the change is measured."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column and window."""
        for column in self.columns:
            for window in self.windows:
                yield Feature(f"{column}_momentum_{window}", _momentum, (column, context.window(window)))


def _momentum(inputs: Inputs, column: str, steps: int) -> Value:
    values = inputs.column(column).values
    return (values - ago(values, steps)) / float(steps)


KIND = FeatureKind(Momentum, [{"kind": "momentum", "columns": ["volume"], "windows": ["2h", "6h"]}])
