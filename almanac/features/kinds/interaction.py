"""Two features combined."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from almanac.features.kind import Context, Declaration, Feature, FeatureKind, Inputs, Name, Value
from almanac.features.windows import finite

Operation = Literal["ratio", "product", "difference", "sum"]
_OPERATIONS: dict[Operation, Callable[[Value, Value], Value]] = {
    "ratio": np.divide,
    "product": np.multiply,
    "difference": np.subtract,
    "sum": np.add,
}


class Interaction(Declaration):
    """Two features combined: `name = left (operation) right`; a ratio's denominator of zero gives a missing value."""

    kind: Literal["interaction"]
    name: Name
    """Name of the feature."""
    operation: Operation
    """Operation."""
    left: Name
    """Feature declared before."""
    right: Name
    """Feature declared before."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield the one feature."""
        yield Feature(self.name, _combined, (self.operation, self.left, self.right))


def _combined(inputs: Inputs, operation: Operation, left: str, right: str) -> Value:
    return finite(_OPERATIONS[operation](inputs.feature(left), inputs.feature(right)))


KIND = FeatureKind(
    Interaction,
    [
        {"kind": "value", "columns": ["volume", "temp"]},
        {"kind": "interaction", "name": "ratio", "operation": "ratio", "left": "volume", "right": "temp"},
        {"kind": "interaction", "name": "product", "operation": "product", "left": "ratio", "right": "temp"},
        {"kind": "interaction", "name": "gap", "operation": "difference", "left": "volume", "right": "product"},
        {"kind": "interaction", "name": "sum", "operation": "sum", "left": "volume", "right": "volume"},
    ],
)
