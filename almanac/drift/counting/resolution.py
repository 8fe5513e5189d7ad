"""Groups of a layout that hold a single value, since they are narrower than the resolution of the column."""

import numpy as np
from numpy.typing import NDArray

from almanac.drift.counting.accumulators import NumericLayout

#: Part of a resolution by which rounding can move a multiple of it, amply.
_NEAR = 1e-6


def single_valued(layout: NumericLayout, low: float, high: float) -> NDArray[np.bool_]:
    """Return whether each group (g,) can hold one value at most, of values that are multiples of the resolution.

    Args:
        layout: how the column is counted.
        low: smallest value counted in any of the samples.
        high: largest value.
    """
    none = np.zeros(len(layout.groups), np.bool_)
    # Single precision addresses the buckets of other grids, and could move a value over an edge.
    if layout.decimals is None or layout.grid.buckets.kind != "linear" or not np.isfinite(high - low):
        return none
    # In units of the resolution. The outermost groups are open, and end where the values do.
    inner = layout.lower[1:] * 10.0**layout.decimals
    edges = np.concatenate(([low * 10.0**layout.decimals - 0.5], inner, [high * 10.0**layout.decimals + 0.5]))
    # An edge next to a multiple can have values of it on both of its sides.
    clear = np.abs(edges - np.rint(edges)) > _NEAR
    held = np.ceil(edges[1:]) - np.ceil(edges[:-1])
    return np.asarray((held <= 1) & clear[1:] & clear[:-1])
