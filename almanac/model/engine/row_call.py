"""One row at a time by one thread: a buffer with a fixed address, and a call that reads it."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RowCall:
    """Predicts what was written to `values`.

    Attributes:
        values: the row, shape (f,).
        predict: returns the prediction of `values`, and sets `outside`.
        outside: how many of the values lie beyond `low` and `high`; a missing one does not.
        low: smallest values, shape (f,).
        high: largest values, shape (f,).
    """

    values: Array
    predict: Callable[[], float]
    outside: ctypes.c_int32
    low: Array
    high: Array


def by_numpy(predict_row: Callable[[Array], float], low: Array, high: Array) -> RowCall:
    """Return the call for a model without compiled kernels."""
    values, outside = np.zeros(low.size), ctypes.c_int32()

    def predict() -> float:
        outside.value = int(((values < low) | (values > high)).sum())
        return predict_row(values)

    return RowCall(values, predict, outside, low, high)
