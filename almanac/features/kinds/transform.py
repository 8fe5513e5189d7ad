"""Functions of a feature."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from almanac.features.kind import Context, Declaration, Feature, FeatureKind, Inputs, Name, Value
from almanac.features.windows import finite

Function = Literal["log", "log1p", "log_odds", "sqrt", "square", "abs", "exp"]


def _log_odds(probability: Value) -> Value:
    # log1p keeps the digits of a small probability.
    return np.log(probability) - np.log1p(0.0 - probability)


_FUNCTIONS: dict[Function, Callable[[Value], Value]] = {
    "log": np.log,
    "log1p": np.log1p,
    "log_odds": _log_odds,
    "sqrt": np.sqrt,
    "square": np.square,
    "abs": np.abs,
    "exp": np.exp,
}


class Transform(Declaration):
    """A function of a feature: `name = function(feature)`."""

    kind: Literal["transform"]
    name: Name
    """Name of the feature."""
    function: Function
    """Function, log_odds of a probability among them; outside its domain the value is missing."""
    feature: Name
    """Feature declared before."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield the one feature."""
        yield Feature(self.name, _transformed, (self.function, self.feature))


def _transformed(inputs: Inputs, function: Function, feature: str) -> Value:
    return finite(_FUNCTIONS[function](inputs.feature(feature)))


KIND = FeatureKind(
    Transform,
    [
        {"kind": "value", "columns": ["volume"]},
        *(
            {"kind": "transform", "name": f"volume_{function}", "function": function, "feature": "volume"}
            for function in _FUNCTIONS
        ),
    ],
)
