"""The newest known value of a column."""

from collections.abc import Iterator
from typing import Literal

from almanac.features.kind import Columns, Context, Declaration, Feature, FeatureKind, Inputs, Value


class NewestValue(Declaration):
    """The newest known value: `pm`."""

    kind: Literal["value"]
    columns: Columns
    """Numeric columns."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield the columns themselves."""
        for column in self.columns:
            yield Feature(column, _newest, (column,))


def _newest(inputs: Inputs, column: str) -> Value:
    return inputs.column(column).values


KIND = FeatureKind(NewestValue, [{"kind": "value", "columns": ["volume", "temp"]}])
