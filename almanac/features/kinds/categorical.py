"""Categories as codes or as indicators."""

import re
from collections.abc import Iterator
from typing import Literal

from almanac.features.compiler.tracing import looked_up
from almanac.features.kind import Columns, Context, Declaration, Feature, FeatureKind, Inputs, Value


class Categorical(Declaration):
    """A category as a code (`wind`) or as one column for each value (`wind_is_nw`)."""

    kind: Literal["categorical"]
    columns: Columns
    """Category columns."""
    encoding: Literal["code", "one_hot"] = "code"
    """Code in the order of the fitted category table, or indicators."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield the codes of each column, or an indicator for each of its categories."""
        for column in self.columns:
            table = context.table(column)
            if self.encoding == "code":
                yield Feature(column, _code, (column,))
                continue
            for code, value in enumerate(table):
                # A category may be any text, a feature's name may not; one without letters is named by its code.
                slug = re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_") or str(code)
                yield Feature(f"{column}_is_{slug}", _indicator, (column, code, len(table)))


def _code(inputs: Inputs, column: str) -> Value:
    return inputs.codes(column)


def _indicator(inputs: Inputs, column: str, code: int, size: int) -> Value:
    # A lookup and not a comparison: a missing code gives NaN instead of 0.
    return looked_up(inputs.codes(column), [float(other == code) for other in range(size)])


KIND = FeatureKind(
    Categorical,
    [
        {"kind": "categorical", "columns": ["weather"], "encoding": "code"},
        {"kind": "categorical", "columns": ["weather"], "encoding": "one_hot"},
    ],
)
