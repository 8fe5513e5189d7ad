"""Age of the newest reading, which an imputed value does not show."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from almanac.features.compiler.tracing import since
from almanac.features.kind import Columns, Context, Declaration, Duration, Feature, FeatureKind, Inputs, Value


class Age(Declaration):
    """Steps since the column was last read: `pm_age`; 0 for a reading, `limit` where there was none within it.

    Imputation does not make a reading. Intervals of a target's column take rows of a positive age as rows whose last
    value is unknown.
    """

    kind: Literal["age"]
    columns: Columns
    """Numeric columns."""
    limit: Duration
    """Longest look back."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column."""
        for column in self.columns:
            yield Feature(f"{column}_age", _age, (column, context.window(self.limit)))


def _age(inputs: Inputs, column: str, limit: int) -> Value:
    # Every reading is above minus infinity; NaN is above nothing.
    return since(inputs.raw(column), -np.inf, limit)


KIND = FeatureKind(Age, [{"kind": "age", "columns": ["volume"], "limit": "5h"}])
