"""Directions with a magnitude, as components."""

import math
from collections.abc import Iterator
from typing import Literal

from almanac.features.compiler.tracing import looked_up
from almanac.features.kind import Context, Declaration, Feature, FeatureKind, Inputs, Name, Value


class Vector(Declaration):
    """A direction and a magnitude as two components: `wind_east`, `wind_north`."""

    kind: Literal["vector"]
    name: Name
    """Stem of the two names."""
    direction: Name
    """Category column of the direction."""
    magnitude: Name
    """Numeric column of the length."""
    degrees: dict[str, float | None]
    """Compass angle of each category, clockwise from north; null has no direction, and both components are 0."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield the components to the east and to the north."""
        table = context.table(self.direction)
        if unknown := sorted(set(table) - self.degrees.keys()):
            raise ValueError(f"degrees has no angle for {', '.join(unknown)}; null stands for no direction")
        for suffix, function in (("east", math.sin), ("north", math.cos)):
            angles = [self.degrees[value] for value in table]
            factors = tuple(0.0 if angle is None else function(math.radians(angle)) for angle in angles)
            yield Feature(f"{self.name}_{suffix}", _component, (self.direction, self.magnitude, factors))


def _component(inputs: Inputs, direction: str, magnitude: str, factors: tuple[float, ...]) -> Value:
    factor = looked_up(inputs.codes(direction), factors)
    # Adding 0 turns the -0 of a calm from one side into 0.
    return inputs.column(magnitude).values * factor + 0.0


KIND = FeatureKind(
    Vector,
    [
        {
            "kind": "vector",
            "name": "way",
            "direction": "weather",
            "magnitude": "temp",
            "degrees": {"Clear": 0, "Clouds": 90.5, "Fog": 270, "Mist": None},
        }
    ],
)
