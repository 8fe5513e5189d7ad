"""Sums over windows, for the formulas of feature kinds: one order of additions, whatever the engine.

A window of w values is summed as a balanced tree: 2^k values are the sum of two halves, and w is split into its powers
of two, the largest newest: 168 = 128 + (32 + 8). An incremental sum would be no dearer, but would depend on where the
series starts. Deviations are summed around a fixed centre, so that a variance needs no second pass.

Where a column misses no value, its presence is the number 1, and counts, weights and sums of ages come out as numbers.
"""

from collections.abc import Callable

import numpy as np

from almanac.features.compiler.tracing import Value, ago, floored

#: Below this share of the sum of squares a sum of squared deviations is rounding noise, and counts as zero.
_NOISE = 2.0**-44


def total(values: Value, length: int) -> Value:
    """Return the sum over the newest `length` rows."""
    return _folded(length, lambda size, offset: ago(_tree(np.add, values, size), offset))


def faded(values: Value, length: int, half_life: int) -> Value:
    """Return the sum over the newest `length` rows, weighted by a half for each half-life of age."""

    def weighted(older: Value, steps: int) -> Value:
        return older * float(0.5 ** (steps / half_life))

    def tree(size: int) -> Value:
        if size == 1:
            return values
        half = tree(size // 2)
        return half + weighted(ago(half, size // 2), size // 2)

    return _folded(length, lambda size, offset: ago(tree(size), offset), weighted)


def aged(values: Value, length: int, power: int) -> Value:
    """Return the sum over the newest `length` rows, each times a power of its age."""

    def tree(size: int, age: int) -> Value:
        if size == 1:
            return ago(values, age) * float(age**power)
        return tree(size // 2, age) + tree(size // 2, age + size // 2)

    return _folded(length, tree)


def extreme(join: np.ufunc, values: Value, length: int) -> Value:
    """Return np.fmax or np.fmin of the newest rows, from two windows that may overlap, as an extreme counts nothing."""
    if length == 1:
        return values
    # The largest power of two below the length: two such windows cover it.
    size = 1 << ((length - 1).bit_length() - 1)
    tree = _tree(join, values, size)
    return join(tree, ago(tree, length - size))


def mean(deviations: Value, count: Value, centre: Value) -> Value:
    """Return the mean from the sum of deviations."""
    return deviations / count + centre


def standard_deviation(deviations: Value, squares: Value, count: Value) -> Value:
    """Return the standard deviation with one delta degree of freedom, from sums of deviations and of their squares."""
    # Rounding can leave a tiny or negative rest of a constant window.
    rest = squares - deviations * deviations / count
    return np.sqrt(floored(rest, squares * _NOISE) / (count - 1.0))


def finite(values: Value) -> Value:
    """Return the values, NaN where one is not a finite number."""
    # x - x is 0 for a finite number and NaN otherwise; one addition is cheaper than a test and a masked copy.
    return values + (values - values)


def _tree(join: Callable[[Value, Value], Value], values: Value, size: int) -> Value:
    """Return a power of two of the newest rows joined, half by half."""
    if size == 1:
        return values
    half = _tree(join, values, size // 2)
    return join(half, ago(half, size // 2))


def _folded(
    length: int,
    piece: Callable[[int, int], Value],
    faded: Callable[[Value, int], Value] = lambda older, size: older,
) -> Value:
    """Return the sum of a window's pieces, given by size and offset; the newest is added last."""
    # Each engine adds in this order, because another one would round differently.
    sizes = [1 << bit for bit in range(length.bit_length() - 1, -1, -1) if length >> bit & 1]
    offsets = [sum(sizes[:k]) for k in range(len(sizes))]
    result = piece(sizes[-1], offsets[-1])
    for size, offset in zip(sizes[-2::-1], offsets[-2::-1], strict=True):
        result = piece(size, offset) + faded(result, size)
    return result
