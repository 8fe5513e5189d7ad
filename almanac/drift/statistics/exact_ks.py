"""Exact Kolmogorov–Smirnov distance of two samples, without sorting either of them whole."""

import numpy as np
from numpy.typing import NDArray

from almanac.drift.counting.histogram import Buckets, Counts, Numeric, fit_grid

_SAMPLE = 16_384


def ks_exact(a: Numeric, b: Numeric) -> float:
    """Return the Kolmogorov–Smirnov distance of two samples, bit for bit the `ks_2samp(a, b).statistic` of scipy.

    Neither sample is sorted whole. Both are counted into buckets; where the distance at a bucket's edges and the
    bucket's own share leave room for the maximum, only the values of that bucket are sorted and compared.

    Args:
        a: values (n,); missing ones are left out.
        b: values (m,); missing ones are left out.

    Raises:
        ValueError: either has no value.
    """
    a, b = _present(a), _present(b)
    if not len(a) or not len(b):
        raise ValueError("the distance of two samples needs a value in each")
    step = max(1, len(a) // _SAMPLE)
    buckets = fit_grid(a[::step].astype(np.float64)).buckets
    return _refine(buckets, a, b)


def _present(values: Numeric) -> Numeric:
    if values.dtype.kind != "f":
        return values
    missing = np.isnan(values)
    return values[~missing] if missing.any() else values


def _refine(buckets: Buckets, a: Numeric, b: Numeric) -> float:
    numbers_a, numbers_b = _numbers(buckets, a), _numbers(buckets, b)
    held_a = np.bincount(numbers_a, minlength=buckets.size)
    held_b = np.bincount(numbers_b, minlength=buckets.size)
    ends_a, ends_b = np.cumsum(held_a), np.cumsum(held_b)
    after = ends_a / len(a) - ends_b / len(b)
    before = np.r_[0.0, after[:-1]]
    best = float(np.abs(after).max())
    # Inside a bucket the difference can rise by the share of a, or fall by the share of b.
    highest, lowest = before + held_a / len(a), before - held_b / len(b)
    open_buckets = (np.maximum(highest, -lowest) > best) & (held_a > 0) & (held_b > 0)
    if not open_buckets.any():
        return best
    inner_a, inner_b = _pick(a, numbers_a, open_buckets), _pick(b, numbers_b, open_buckets)
    shut_a, shut_b = (np.cumsum(np.where(open_buckets, 0, held)) for held in (held_a, held_b))
    # The difference is largest just after a value of a, and smallest just after one of b.
    highest_point = _farthest(inner_a, inner_b, shut_a, shut_b, len(a), len(b), buckets)
    lowest_point = _farthest(inner_b, inner_a, shut_b, shut_a, len(b), len(a), buckets)
    return max(best, highest_point, lowest_point)


def _farthest(a: Numeric, b: Numeric, shut_a: Counts, shut_b: Counts, n: int, m: int, buckets: Buckets) -> float:
    """Return the largest distance at the ascending values `a` of open buckets, and the counts in shut ones."""
    if not len(a):
        return 0.0
    ends = np.flatnonzero(np.r_[a[1:] != a[:-1], True])
    points = a[ends]
    owners = _numbers(buckets, points)
    count_a = shut_a[owners] + ends + 1
    count_b = shut_b[owners] + np.searchsorted(b, points, side="right")
    return float(np.abs(count_a / n - count_b / m).max())


def _numbers(buckets: Buckets, values: Numeric) -> Counts:
    numbers = np.empty(len(values), np.int64)
    scratch = np.empty(1 << 16)
    with np.errstate(all="ignore"):
        for start in range(0, len(values), len(scratch)):
            piece = values[start : start + len(scratch)]
            numbers[start : start + len(piece)] = buckets.numbers(piece, scratch)
    return numbers


def _pick(values: Numeric, numbers: Counts, open_buckets: NDArray[np.bool_]) -> Numeric:
    """Return the values in open buckets, ascending."""
    picked = values[open_buckets[numbers]]
    picked.sort()
    return picked
