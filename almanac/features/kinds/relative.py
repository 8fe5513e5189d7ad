"""Features relative to one of them."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from almanac.features.kind import Context, Declaration, Feature, FeatureKind, Inputs, Name, Value
from almanac.features.windows import finite


class Relative(Declaration):
    """Differences of features from one of them: `price_mean_3_relative = price_mean_3 - price_median_5`.

    Trees split one feature at a time, and approach a difference of two in many steps only.
    """

    kind: Literal["relative"]
    to: Name
    """Feature declared before, which is subtracted."""
    of: Annotated[list[Name], Field(min_length=1)]
    """Features declared before."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield one difference for each feature."""
        yield from (Feature(f"{name}_relative", _relative, (name, self.to)) for name in self.of)


def _relative(inputs: Inputs, feature: str, to: str) -> Value:
    return finite(inputs.feature(feature) - inputs.feature(to))


KIND = FeatureKind(
    Relative,
    [
        {"kind": "value", "columns": ["volume", "temp"]},
        {"kind": "rolling", "columns": ["volume"], "windows": ["5h"], "statistics": ["mean"]},
        {"kind": "relative", "to": "volume", "of": ["volume_mean_5h", "temp"]},
    ],
)
