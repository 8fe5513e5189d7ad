"""Statistics of the same phase in earlier periods."""

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Annotated, Literal, assert_never

import numpy as np
from pydantic import Field

from almanac.features.compiler.tracing import enough
from almanac.features.kind import Columns, Context, Duration, Feature, FeatureKind, Inputs, LaterDeclaration, Value, ago
from almanac.features.windows import mean, standard_deviation

Statistic = Literal["mean", "std", "min", "max"]


class Seasonal(LaterDeclaration):
    """A statistic of the same phase in earlier periods, aligned with the target: `pm_season_mean_24h_7`.

    The phase is that of the time `ahead` after the row's; the newest period counted is the newest one whose value is
    known, and never the row's own.
    """

    kind: Literal["seasonal"]
    columns: Columns
    """Numeric columns."""
    period: Duration
    """Length of the season."""
    counts: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """How many periods back."""
    statistics: Annotated[list[Statistic], Field(min_length=1)]
    """Statistics of the values present."""
    ahead: Duration = "0h"
    """Phase: the time this long after the row's."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column, count and statistic."""
        period, ahead = context.window(self.period), context.steps(self.ahead)
        # The newest period whose value lies before the cutoff.
        first = max(1, -(-(ahead + context.cutoff) // period))
        for column in self.columns:
            for count in self.counts:
                # Counted from the newest known row, which lies the cutoff before the prediction time.
                lags = tuple(k * period - ahead - context.cutoff for k in range(first, first + count))
                for statistic in self.statistics:
                    name = f"{column}_season_{statistic}_{self.period}_{count}"
                    yield Feature(self.named(name, self.ahead), _seasonal, (column, statistic, lags))


def _seasonal(inputs: Inputs, column: str, statistic: Statistic, lags: tuple[int, ...]) -> Value:
    def joined(join: Callable[[Value, Value], Value], leaf: Value) -> Value:
        return reduce(join, (ago(leaf, lag) for lag in lags))

    x = inputs.column(column)
    match statistic:
        case "min":
            return joined(np.fmin, x.values)
        case "max":
            return joined(np.fmax, x.values)
        case "mean":
            return mean(joined(np.add, x.deviation), joined(np.add, x.present), x.centre)
        case "std":
            count = enough(joined(np.add, x.present), 2)
            return standard_deviation(joined(np.add, x.deviation), joined(np.add, inputs.squares(column)), count)
        case _:
            assert_never(statistic)


KIND = FeatureKind(
    Seasonal,
    [
        {
            "kind": "seasonal",
            "columns": ["volume"],
            "period": "4h",
            "counts": [1, 3, 9],
            "statistics": ["mean", "std", "min", "max"],
            "ahead": "2h",
        }
    ],
)
