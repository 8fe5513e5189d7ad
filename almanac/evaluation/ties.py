"""Coverage that ties and bounds of a target force on intervals of the right level.

An interval of level c has a share (1 - c) / 2 of the values below it and as many above. A target with many equal
values, such as zeros, or with a bound that an end lies on, has no end with exactly that share beyond it: whichever end
is chosen, the interval holds more than c. Values on such an end may be counted as beyond it, at most up to the share
that the level asks for, as a smoothed conformal predictor counts them (Vovk, Gammerman and Shafer, 2005, chapter 2).
"""

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array

Bounds = tuple[float | None, float | None]

_ROUNDING = 1e-9


def forced_coverage(y: Array, lower: Array, upper: Array, nominal: float, bounds: Bounds = (None, None)) -> float:
    """Return by how much right intervals may cover more than `nominal`, 0 for a continuous target without bounds.

    Args:
        y: truth, shape (n,).
        lower: lower ends, shape (n,).
        upper: upper ends, shape (n,).
        nominal: nominal coverage.
        bounds: smallest and largest value that the target can take, None for open.
    """
    low, high = bounds
    tail = (1.0 - nominal) / 2
    at_lower = _equal(y, lower) | (np.zeros(y.shape, np.bool_) if low is None else lower <= low)
    at_upper = _equal(y, upper) | (np.zeros(y.shape, np.bool_) if high is None else upper >= high)
    return _side(y < lower, at_lower, tail) + _side(y > upper, at_upper, tail)


def _equal(y: Array, end: Array) -> npt.NDArray[np.bool_]:
    # An end is computed from a forecast and an offset, so that its last digits are rounded.
    return np.asarray(np.abs(y - end) <= _ROUNDING * (1.0 + np.abs(y)))


def _side(beyond: npt.NDArray[np.bool_], on: npt.NDArray[np.bool_], tail: float) -> float:
    if not beyond.size:
        return 0.0
    missed = float(beyond.mean())
    return max(min(missed + float((on & ~beyond).mean()), tail) - missed, 0.0)
