"""The features of a model with their types and ranges, which requests must respect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.core.levels import codes_of


@dataclass(frozen=True, slots=True)
class Outside:
    """Values out of range.

    Attributes:
        counts: number of such values of each feature that has any.
        first: row and feature of the first ones.
    """

    counts: Mapping[str, int]
    first: list[tuple[int, str]]


_NONE_OUTSIDE = Outside({}, [])


@dataclass(frozen=True)
class Columns:
    """The ordered features with their types and ranges.

    Attributes:
        names: feature names, the columns of X in order.
        categories: for each category feature its names; the position is the code.
        low: smallest value seen or declared, -inf where none, shape (f,).
        high: largest value, inf where none, shape (f,).
        required: names that must not be null.
    """

    names: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    low: Array
    high: Array
    required: frozenset[str]

    @cached_property
    def position(self) -> dict[str, int]:
        """Position of each name."""
        return {name: index for index, name in enumerate(self.names)}

    @cached_property
    def known(self) -> frozenset[str]:
        """Names of the features."""
        return frozenset(self.names)

    @cached_property
    def has_ranges(self) -> bool:
        """Whether any feature has a range."""
        return bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())

    @cached_property
    def codes(self) -> dict[str, dict[str, float]]:
        """Code of each category name, by feature."""
        # As floats, like all values of X.
        return {name: codes_of(levels) for name, levels in self.categories.items()}

    def outside(self, X: Array, most: int) -> "Outside":
        """Return the values of X, shape (n, f), out of range: all counts, and the positions of at most `most`.

        A missing value is in range.
        """
        # A comparison with NaN is false, which keeps missing values in range.
        beyond = (self.low > X) | (self.high < X)
        if not beyond.any():
            return _NONE_OUTSIDE
        counts = np.count_nonzero(beyond, axis=0).tolist()
        first = [divmod(place, len(self.names)) for place in np.flatnonzero(beyond)[:most].tolist()]
        return Outside(
            {name: count for name, count in zip(self.names, counts, strict=True) if count},
            [(row, self.names[column]) for row, column in first],
        )


def read_columns(features: Mapping[str, Any], signature: Mapping[str, Any]) -> Columns:
    """Read the columns from features.json and signature.json.

    Raises:
        ModelError: the two files name different features.
    """
    names = tuple(str(name) for name in features["names"])
    declared = {item["name"]: item for item in signature.get("features", [])}
    if declared and tuple(declared) != names:
        odd = sorted(set(declared) ^ set(names)) or ["(the order)"]
        raise ModelError(f"signature.json: features differ from those of features.json in {odd[0]}")
    items = [declared.get(name, {}) for name in names]
    return Columns(
        names=names,
        categories={
            name: tuple(item["categories"])
            for name, item in zip(names, items, strict=True)
            if item.get("type") == "category" and item.get("categories")
        },
        low=_bounds(items, "min", -np.inf),
        high=_bounds(items, "max", np.inf),
        required=frozenset(name for name, item in zip(names, items, strict=True) if item.get("nullable") is False),
    )


def join_columns(parts: Sequence[Columns]) -> Columns:
    """Return the columns of several models as one, each feature once; the narrowest range holds.

    Raises:
        ModelError: one feature has different categories in two of them.
    """
    categories: dict[str, tuple[str, ...]] = {}
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for part in parts:
        for name, place in part.position.items():
            low[name] = max(low.get(name, -np.inf), float(part.low[place]))
            high[name] = min(high.get(name, np.inf), float(part.high[place]))
        for name, values in part.categories.items():
            if categories.setdefault(name, values) != values:
                raise ModelError(f"signature.json: the targets have different categories for {name}")
    required = frozenset(name for part in parts for name in part.required)
    # Both dicts keep the order of first insertion, which is the order of the joint features.
    lows, highs = (np.array(list(side.values()), dtype=np.float64) for side in (low, high))
    return Columns(tuple(low), categories, lows, highs, required)


def _bounds(items: list[dict[str, Any]], key: str, default: float) -> Array:
    values = [item.get(key) for item in items]
    return np.array([default if value is None else float(value) for value in values], dtype=np.float64)
