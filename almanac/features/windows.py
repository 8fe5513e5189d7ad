"""What both engines agree on about windows: how they are split, weighted and imputed."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Below this share of the sum of squares a sum of squared deviations is rounding noise, and counts as zero.
NOISE = 2.0**-44


def powers(length: int) -> list[int]:
    """Return the powers of two that sum up to `length`, descending."""
    return [1 << bit for bit in range(length.bit_length() - 1, -1, -1) if length >> bit & 1]


def decay(steps: int, half_life: int) -> float:
    """Return the weight of a value `steps` older than another."""
    return float(0.5 ** (steps / half_life))


def impute(values: Array, limit: int) -> None:
    """Fill gaps by the last value before them, at most `limit` rows old, in place; shape (n,)."""
    missing = np.flatnonzero(np.isnan(values))
    if not missing.size:
        return
    after = missing[1:] - 1 == missing[:-1]
    start = missing.copy()
    start[1:][after] = 0
    np.maximum.accumulate(start, out=start)
    fill = missing - start < limit
    if not start[0]:  # no value comes before the first gap
        fill &= start > 0
    values[missing[fill]] = values[start[fill] - 1]
