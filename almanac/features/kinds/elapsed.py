"""Time since a condition last held."""

from collections.abc import Iterator
from typing import Literal

from almanac.features.compiler.tracing import since
from almanac.features.kind import Context, Declaration, Duration, Feature, FeatureKind, Inputs, Name, Value


class Elapsed(Declaration):
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

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield the one feature."""
        yield Feature(self.name, _elapsed, (self.column, self.above, context.window(self.limit)))


def _elapsed(inputs: Inputs, column: str, above: float, limit: int) -> Value:
    # A comparison with NaN is false, so a missing value never counts as a hit.
    return since(inputs.column(column).values, above, limit)


KIND = FeatureKind(Elapsed, [{"kind": "elapsed", "name": "since", "column": "volume", "above": 0.5, "limit": "11h"}])
