"""Distances and quantiles of distributions, from counts over the same cells."""

import numpy as np
from numpy.typing import NDArray

from almanac.drift.counting.histogram import Floats, Weights


def ks(reference: Weights, current: Weights) -> float:
    """Return the Kolmogorov–Smirnov distance of two count vectors (k,) over the same ascending cells, 0 to 1.

    Raises:
        ValueError: either holds no value.
    """
    a, b = _shares(reference, 0.0), _shares(current, 0.0)
    return float(np.abs(np.cumsum(a) - np.cumsum(b)).max())


def ks_error_bound(reference: Weights, current: Weights, single: NDArray[np.bool_] | None = None) -> float:
    """Return how much larger the exact Kolmogorov–Smirnov distance can be than that of counts over the same cells.

    At the edges of the cells the counts are exact, so the exact distance is at least that of the cells. Inside cell j,
    which holds the shares a_j and b_j of both samples, the difference of the cumulated shares is at most a_j above
    that at its left edge and at most b_j above that at its right edge, and so at most min(a_j, b_j) above the larger
    of both; below, likewise. The exact distance therefore lies between `ks` and `ks` plus the largest of these minima.
    In a cell of one value the difference goes straight from one edge to the other, and adds nothing.

    Args:
        reference: values per cell (k,).
        current: values per cell (k,).
        single: cells (k,) in which both samples have the same single value, or none; no cell when None.

    Raises:
        ValueError: either holds no value.
    """
    least = np.minimum(_shares(reference, 0.0), _shares(current, 0.0))
    return float(least.max() if single is None else least.max(where=~single, initial=0.0))


def psi(reference: Weights, current: Weights) -> float:
    """Return the population stability index of two count vectors (k,), 0 and up.

    One half is added to every count, so that an empty bin on either side gives a finite value.
    """
    a, b = _shares(reference, 0.5), _shares(current, 0.5)
    return float(((b - a) * np.log(b / a)).sum())


def jensen_shannon(reference: Weights, current: Weights) -> float:
    """Return the Jensen–Shannon divergence of two count vectors (k,) in bits, 0 to 1."""
    a, b = _shares(reference, 0.0), _shares(current, 0.0)
    middle = (a + b) / 2
    # Rounding can take the divergence of equal distributions below 0.
    return float(max(0.0, (_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2))


def _relative_entropy(a: Floats, b: Floats) -> float:
    held = a > 0
    return float((a[held] * np.log2(a[held] / b[held])).sum())


def _shares(counts: Weights, extra: float) -> Floats:
    total = counts.sum() + extra * len(counts)
    if not total > 0:
        raise ValueError("a distribution without values has no distance")
    return np.asarray((counts + extra) / total, np.float64)


def quantile(counts: Weights, lower: Floats, maximum: float, share: float, cumulated: Weights | None = None) -> float:
    """Return the value below which `share` of the counted values lie, interpolated within its cell.

    Args:
        counts: values per cell (k,).
        lower: smallest value of each cell (k,).
        maximum: largest value of the last cell.
        share: between 0 and 1.
        cumulated: cumulated counts (k,), for a caller that asks for several quantiles.
    """
    sums = np.cumsum(counts) if cumulated is None else cumulated
    target = share * sums[-1]
    cell = int(np.searchsorted(sums, target))
    cell = min(cell, len(counts) - 1)
    left, right = lower[cell], lower[cell + 1] if cell + 1 < len(lower) else max(maximum, lower[-1])
    before = sums[cell - 1] if cell else 0
    within = (target - before) / counts[cell] if counts[cell] else 0.0
    return float(left + within * (right - left))
