"""The operations that features are made of, on arrays; ufuncs of NumPy where it has one.

An operation takes arrays and numbers and writes its result to `out`. Those of `KERNEL` the compiled kernel knows as
well, and gives the same result in every bit; what depends on a library of mathematics (log1p, exp) stays with NumPy.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def present(values: Array, out: Array) -> Array:
    """Write 1 where a value is there, else 0."""
    return np.subtract(1.0, np.isnan(values), out=out)


def filled(values: Array, out: Array) -> Array:
    """Write the values, 0 where one is missing."""
    out[:] = values
    np.copyto(out, 0.0, where=np.isnan(values))
    return out


def floored(values: Array, floor: Array, out: Array) -> Array:
    """Write the values, 0 where one is not above the floor."""
    out[:] = values
    np.copyto(out, 0.0, where=values <= floor)
    return out


def enough(values: Array, least: float, out: Array) -> Array:
    """Write the values, NaN where one is below `least`."""
    out[:] = values
    np.copyto(out, np.nan, where=values < least)
    return out


def since(values: Array, above: float, limit: float, out: Array) -> Array:
    """Write how many rows ago a value was above, at most `limit`; `values` starts `limit` - 1 rows before `out`."""
    place = np.arange(len(values))
    last = np.where(values > above, place, -int(limit))
    np.maximum.accumulate(last, out=last)
    return np.minimum((place - last)[len(values) - len(out) :], int(limit), out=out, casting="unsafe")


def looked_up(codes: Array, table: Array, out: Array) -> Array:
    """Write the table's entry after the one of the code's number, the first one where the code is missing."""
    places = np.add(codes, 1.0)
    np.copyto(places, 0.0, where=np.isnan(codes))
    return table.take(places.astype(np.intp), out=out, mode="clip")


#: By name, in the order of the kernel's numbers.
KERNEL: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "floored": floored,
    "enough": enough,
    "positive": np.positive,
    "sqrt": np.sqrt,
    "square": np.square,
    "absolute": np.absolute,
    "present": present,
    "filled": filled,
    "since": since,
    "looked_up": looked_up,
}
OPERATIONS: dict[str, Callable[..., Any]] = {**KERNEL, "log1p": np.log1p, "exp": np.exp}
