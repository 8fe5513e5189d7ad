"""The last step of each statistic, from sums to the value, shared by both engines so that they cannot differ.

The online engine calls them with arrays, the batch engine with expressions.
"""

from collections.abc import Callable

import numpy as np

from almanac.features.compiler.tracing import Value, floored
from almanac.features.windows import NOISE


def mean(total: Value, count: Value, centre: Value) -> Value:
    """Return the mean from the sum of deviations."""
    return total / count + centre


def total(deviations: Value, count: Value, centre: Value) -> Value:
    """Return the sum from the sum of deviations."""
    return deviations + count * centre


def deviation(total: Value, squares: Value, count: Value) -> Value:
    """Return the standard deviation with one delta degree of freedom from the sums of deviations and squares."""
    rest = squares - total * total / count
    return np.sqrt(floored(rest, squares * NOISE) / (count - 1.0))


def slope(total: Value, moment: Value, count: Value, age: Value, square: Value) -> Value:
    """Return the least-squares slope per step from the sums over values, and over ages of the values there."""
    return (age * total - count * moment) / (count * square - age * age)


def combine(operation: str, left: Value, right: Value) -> Value:
    """Return two features combined; what is not a finite number is missing."""
    return _finite(_OPERATIONS[operation](left, right))


def apply(function: str, values: Value) -> Value:
    """Return a function of a feature; what is not a finite number is missing."""
    return _finite(_FUNCTIONS[function](values))


def _finite(values: Value) -> Value:
    # x - x is 0 for a finite number and NaN otherwise; one addition is cheaper than a test and a masked copy.
    return values + (values - values)


_OPERATIONS: dict[str, Callable[..., Value]] = {
    "ratio": np.divide,
    "product": np.multiply,
    "difference": np.subtract,
    "sum": np.add,
}
_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "square": np.square,
    "abs": np.abs,
    "exp": np.exp,
}
