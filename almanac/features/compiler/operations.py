"""The elementary operations that features are made of: the only list of them.

An operation takes arrays and numbers and writes its result to `out`. The compiled kernels give the same result in every
bit for those that they know; a function of a mathematical library (log, log1p, exp) stays with NumPy.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from almanac.core.arrays import Array


class Operation(NamedTuple):
    """An elementary operation.

    Attributes:
        function: its NumPy form; a ufunc where NumPy has one.
        operands: how many arrays or numbers it takes, 0 where it does not work value by value.
        compiled: whether the kernels know it.
    """

    function: Callable[..., Any]
    operands: int = 2
    compiled: bool = True


def _present(values: Array, out: Array) -> Array:
    """Write 1 where there is a value, else 0."""
    return np.subtract(1.0, np.isnan(values), out=out)


def _filled(values: Array, out: Array) -> Array:
    """Write the values, 0 where one is missing."""
    out[:] = values
    np.copyto(out, 0.0, where=np.isnan(values))
    return out


def _floored(values: Array, floor: Array, out: Array) -> Array:
    """Write the values, 0 where one is not above the floor."""
    out[:] = values
    np.copyto(out, 0.0, where=values <= floor)
    return out


def _enough(values: Array, least: float, out: Array) -> Array:
    """Write the values, NaN where one is below `least`."""
    out[:] = values
    # NaN is not below anything, and stays.
    np.copyto(out, np.nan, where=values < least)
    return out


def _since(values: Array, above: float, limit: float, out: Array) -> Array:
    """Write how many rows ago a value was above, at most `limit`; `values` starts `limit` - 1 rows before `out`."""
    row = np.arange(len(values))
    # Before the first hit the age counts from so far back that the limit takes over.
    last = np.where(values > above, row, -int(limit))
    np.maximum.accumulate(last, out=last)
    return np.minimum((row - last)[len(values) - len(out) :], int(limit), out=out, casting="unsafe")


def _looked_up(codes: Array, table: Array, out: Array) -> Array:
    """Write the entry of the table for each code; the first entry is that of a missing code."""
    # A float until the NaN of a missing code is gone: the cast of NaN to an integer is undefined.
    entries = np.add(codes, 1.0)
    np.copyto(entries, 0.0, where=np.isnan(codes))
    return table.take(entries.astype(np.intp), out=out, mode="clip")


#: By name. The compiled ones come first, in the order of the enumeration in operations.h, which is checked on loading.
OPERATIONS: dict[str, Operation] = {
    "add": Operation(np.add),
    "subtract": Operation(np.subtract),
    "multiply": Operation(np.multiply),
    "divide": Operation(np.divide),
    "fmax": Operation(np.fmax),
    "fmin": Operation(np.fmin),
    "floored": Operation(_floored),
    "enough": Operation(_enough),
    "positive": Operation(np.positive, 1),
    "sqrt": Operation(np.sqrt, 1),
    "square": Operation(np.square, 1),
    "absolute": Operation(np.absolute, 1),
    "present": Operation(_present, 1),
    "filled": Operation(_filled, 1),
    "since": Operation(_since, 0),
    "looked_up": Operation(_looked_up, 0),
    "log": Operation(np.log, 1, compiled=False),
    "log1p": Operation(np.log1p, 1, compiled=False),
    "exp": Operation(np.exp, 1, compiled=False),
}
COMPILED = [name for name, one in OPERATIONS.items() if one.compiled]
