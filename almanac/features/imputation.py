"""Causal imputation, the same in both engines."""

import numpy as np

from almanac.core.arrays import Array


def impute(values: Array, limit: int) -> None:
    """Fill gaps by the last value before them, at most `limit` rows old, in place; shape (n,)."""
    missing = np.flatnonzero(np.isnan(values))
    if not missing.size:
        return
    # Of each missing row the first row of its gap: a running maximum over the gaps' starts.
    after = missing[1:] - 1 == missing[:-1]
    start = missing.copy()
    start[1:][after] = 0
    # A loop over the gaps would be Python's; this is one pass, however many gaps there are.
    np.maximum.accumulate(start, out=start)
    fill = missing - start < limit
    if not start[0]:  # no value comes before the first gap
        fill &= start > 0
    values[missing[fill]] = values[start[fill] - 1]
