"""The distances between two distributions, from counts or from the values themselves."""

import numpy as np
from numpy.typing import NDArray

from almanac.drift.histogram import Buckets, Counts, Floats, Numeric, Weights, fit_grid

_SAMPLE = 16_384


def ks(reference: Weights, current: Weights) -> float:
    """Return the Kolmogorov–Smirnov distance of two count vectors (k,) over the same ascending cells, 0 to 1.

    Raises:
        ValueError: either holds no value.
    """
    a, b = _shares(reference, 0.0), _shares(current, 0.0)
    return float(np.abs(np.cumsum(a) - np.cumsum(b)).max())


def psi(reference: Weights, current: Weights) -> float:
    """Return the population stability index of two count vectors (k,), 0 and up.

    One half is added to every count, so that an empty bin on either side gives a finite, honest figure.
    """
    a, b = _shares(reference, 0.5), _shares(current, 0.5)
    return float(((b - a) * np.log(b / a)).sum())


def jensen_shannon(reference: Weights, current: Weights) -> float:
    """Return the Jensen–Shannon divergence of two count vectors (k,) in bits, 0 to 1."""
    a, b = _shares(reference, 0.0), _shares(current, 0.0)
    middle = (a + b) / 2
    return float(max(0.0, (_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2))


def _relative_entropy(a: Floats, b: Floats) -> float:
    held = a > 0
    return float((a[held] * np.log2(a[held] / b[held])).sum())


def _shares(counts: Weights, extra: float) -> Floats:
    total = counts.sum() + extra * len(counts)
    if not total > 0:
        raise ValueError("a distribution without values has no distance")
    return np.asarray((counts + extra) / total, np.float64)


def quantile(counts: Weights, lower: Floats, maximum: float, share: float) -> float:
    """Return the value below which `share` of the counted values lie, interpolated within its cell.

    Args:
        counts: values per cell (k,).
        lower: smallest value of each cell (k,).
        maximum: largest value of the last cell.
        share: between 0 and 1.
    """
    cumulated = np.cumsum(counts)
    target = share * cumulated[-1]
    cell = int(np.searchsorted(cumulated, target))
    cell = min(cell, len(counts) - 1)
    left, right = lower[cell], lower[cell + 1] if cell + 1 < len(lower) else max(maximum, lower[-1])
    before = cumulated[cell - 1] if cell else 0
    within = (target - before) / counts[cell] if counts[cell] else 0.0
    return float(left + within * (right - left))


def ks_exact(a: Numeric, b: Numeric) -> float:
    """Return the Kolmogorov–Smirnov distance of two samples, bit for bit the `ks_2samp(a, b).statistic` of scipy.

    Neither sample is sorted whole. Both are counted into buckets; where the distance at a bucket's edges and the
    bucket's own share leave room for the maximum, the values of that bucket alone are sorted and compared.

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
    """Return the largest distance at the ascending values `a` of open buckets, given the counts in shut ones."""
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


def _pick(values: Numeric, numbers: Counts, wanted: NDArray[np.bool_]) -> Numeric:
    """Return the values whose bucket is wanted, ascending."""
    picked = values[wanted[numbers]]
    picked.sort()
    return picked


def ndcg(reference: Floats, current: Floats) -> float:
    """Return how well the ranking by `current` importances keeps the order of the `reference` importances, 0 to 1.

    The normalised discounted cumulative gain: gains are the reference importances (f,), placed in the order of the
    current ones (f,). Below 0.9 an attribution is usually taken to have drifted.

    Raises:
        ValueError: other lengths, a negative or missing importance, or none above zero in the reference.
    """
    if reference.shape != current.shape or reference.ndim != 1:
        raise ValueError(f"importances have shapes {reference.shape} and {current.shape}; both must be (f,)")
    if not (np.isfinite(reference).all() and np.isfinite(current).all() and (reference >= 0).all()):
        raise ValueError("importances must be finite, and those of the reference not negative")
    if not reference.sum() > 0:
        raise ValueError("no reference importance is above zero")
    discount = 1 / np.log2(np.arange(2, len(reference) + 2))
    gained = reference[np.argsort(-current, kind="stable")]
    return float((gained * discount).sum() / (np.sort(reference)[::-1] * discount).sum())
