"""Quantiles of the newest window of a column."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from almanac.features.compiler.tracing import enough
from almanac.features.kind import Columns, Context, Declaration, Durations, Feature, FeatureKind, Inputs, Value, ago
from almanac.features.windows import total

#: A network for more rows has thousands of steps.
_MOST = 64


class Quantile(Declaration):
    """Quantiles of the newest window, the median among them: `load_median_24h`, `load_q90_24h`."""

    kind: Literal["quantile"]
    columns: Columns
    """Numeric columns."""
    windows: Durations
    """Lengths of the windows that end at the newest known row, at most 64 steps; missing where a value of one is."""
    quantiles: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)] = [0.5]
    """Shares of the values below, interpolated linearly between two values."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column, window and quantile."""
        for column in self.columns:
            for window in self.windows:
                if (length := context.window(window)) > _MOST:
                    raise ValueError(f"{window} has {length} steps; a window of quantiles has at most {_MOST}")
                for share in self.quantiles:
                    name = "median" if share == 0.5 else f"q{share * 100:g}".replace(".", "_")
                    yield Feature(f"{column}_{name}_{window}", _quantile, (column, length, share))


def _quantile(inputs: Inputs, column: str, length: int, share: float) -> Value:
    x = inputs.column(column)
    place = (length - 1) * share
    low, high = math.floor(place), math.ceil(place)
    ordered = {rank: ago(x.values, rank) for rank in range(length)}
    for i, j in _needed(length, {low, high}):
        # Minimum and maximum of two values are exact, so that both engines sort alike.
        ordered[i], ordered[j] = np.fmin(ordered[i], ordered[j]), np.fmax(ordered[i], ordered[j])
    value = ordered[low]
    if high > low:
        value = value + (ordered[high] - value) * (place - low)
    count = enough(total(x.present, length), length)
    return value + (count - count)


def _needed(length: int, ranks: set[int]) -> list[tuple[int, int]]:
    """Return the exchanges that some ranks need of Batcher's odd-even merge sort.

    K. E. Batcher (1968), Sorting networks and their applications, doi:10.1145/1468075.1468121.
    """
    needed, kept = set(ranks), []
    for i, j in reversed(list(_exchanges(length))):
        if i in needed or j in needed:
            needed |= {i, j}
            kept.append((i, j))
    return kept[::-1]


def _exchanges(length: int) -> Iterator[tuple[int, int]]:
    size = 1 << max(0, length - 1).bit_length()
    p = 1
    while p < size:
        k = p
        while k:
            for j in range(k % p, size - k, 2 * k):
                for i in range(j, j + k):
                    # Ranks beyond the length would hold infinities, which never move.
                    if i // (2 * p) == (i + k) // (2 * p) and i + k < length:
                        yield i, i + k
            k //= 2
        p *= 2


KIND = FeatureKind(
    Quantile,
    [
        {"kind": "quantile", "columns": ["volume"], "windows": ["1h", "5h", "7h"], "quantiles": [0, 0.25, 0.5, 1]},
        {"kind": "quantile", "columns": ["temp"], "windows": ["13h"], "quantiles": [0.5, 0.9]},
    ],
)
