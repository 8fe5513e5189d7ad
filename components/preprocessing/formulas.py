"""The last step of each statistic, from sums to the value, shared by both engines so that they cannot differ."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from components.preprocessing.windows import NOISE

Array = npt.NDArray[np.float64]


def mean(total: Array, count: Array, centre: Array | float, out: Array | None = None) -> Array:
    """Return the mean from the sum of deviations."""
    result = np.divide(total, count, out=out)
    return np.add(result, centre, out=result)


def deviation(
    total: Array, squares: Array, count: Array, out: Array | None = None, empty: Callable[..., Array] = np.empty
) -> Array:
    """Return the standard deviation with one delta degree of freedom from the sums of deviations and squares."""
    result = np.multiply(total, total, out=out)
    np.divide(result, count, out=result)
    np.subtract(squares, result, out=result)
    noise = np.multiply(squares, NOISE, out=empty(*squares.shape))
    np.copyto(result, 0.0, where=result <= noise)
    np.divide(result, count - 1.0, out=result)
    return np.sqrt(result, out=result)


def slope(total: Array, moment: Array, count: Array, age: Array, square: Array, out: Array | None = None) -> Array:
    """Return the least-squares slope per step from the sums over values, and over ages of the values there."""
    result = np.multiply(age, total, out=out)
    np.subtract(result, count * moment, out=result)
    return np.divide(result, count * square - age * age, out=result)


def combine(operation: str, left: Array, right: Array, out: Array | None = None) -> Array:
    """Return two features combined; what is not a finite number is missing."""
    return _finite(_OPERATIONS[operation](left, right, out=out))


def apply(function: str, values: Array, out: Array | None = None) -> Array:
    """Return a function of a feature; what is not a finite number is missing."""
    return _finite(_FUNCTIONS[function](values, out=out))


def _finite(values: Array) -> Array:
    # x - x is 0 for a finite number and NaN otherwise; one addition is cheaper than a test and a masked copy.
    return np.add(values, values - values, out=values)


_OPERATIONS: dict[str, Callable[..., Array]] = {
    "ratio": np.divide,
    "product": np.multiply,
    "difference": np.subtract,
    "sum": np.add,
}
_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "square": np.square,
    "abs": np.abs,
    "exp": np.exp,
}
