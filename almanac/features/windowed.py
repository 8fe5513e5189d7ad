"""Window arithmetic on one column, by an order of operations that the online engine repeats.

A window of w values is summed as a balanced tree: 2^k values are the sum of two halves, and w is split into its
powers of two, the largest newest: 168 = 128 + (32 + 8). An incremental sum would be no dearer, but would depend on
where the series starts. Deviations are summed around a fixed centre, so that a variance needs no second pass.

Where a column misses no value, presence is the number 1, and counts, weights and sums of ages come out as numbers.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np

from almanac.core.errors import FeatureError
from almanac.features import formulas
from almanac.features import nodes as p
from almanac.features.compiler.tracing import Expression, Value, ago, enough, filled, present
from almanac.features.windows import decay, powers

Piece = Callable[[int, int], Value]


class Windowed:
    """The statistics of a column.

    Args:
        x: the column.
        complete: whether no value is missing.
        centre: what deviations are summed around.
    """

    def __init__(self, x: Expression, complete: bool, centre: float) -> None:
        self._x = x
        self._centre = centre
        self._presence: Value = 1.0 if complete else present(x)
        self._deviation = x - centre if complete else filled(x - centre)

    def window(self, node: p.Window) -> Value:
        """Return a statistic of a sliding window."""
        length = node.length
        if node.statistic == "count":
            return _total(self._presence, length)
        count = enough(_total(self._presence, length), node.need)
        if node.statistic in ("max", "min", "range"):
            # The count less itself is 0, or NaN where too few values are there.
            short = count - count
            return self._extreme(node) + short if isinstance(short, Expression) or short != 0 else self._extreme(node)
        total = _total(self._deviation, length)
        match node.statistic:
            case "mean":
                return formulas.mean(total, count, self._centre)
            case "sum":
                return formulas.total(total, count, self._centre)
            case "std":
                return formulas.deviation(total, _total(self._deviation * self._deviation, length), count)
            case "slope":
                ages = (_aged(self._presence, length, power) for power in (1, 2))
                return formulas.slope(total, _aged(self._deviation, length, 1), count, *ages)
            case _:
                raise FeatureError(f"feature {node.name}: no formula computes the statistic {node.statistic}")

    def decayed(self, node: p.Decay) -> Value:
        """Return the mean that fades with age."""
        total, weight = (_faded(leaf, node) for leaf in (self._deviation, self._presence))
        return formulas.mean(total, weight, self._centre)

    def season(self, node: p.Season) -> Value:
        """Return a statistic of the values at some lags, joined one by one."""

        def joined(join: Callable[[Value, Value], Value], leaf: Value) -> Value:
            return reduce(join, (ago(leaf, lag) for lag in node.lags))

        if node.statistic in ("min", "max"):
            return joined(np.fmin if node.statistic == "min" else np.fmax, self._x)
        total, count = joined(np.add, self._deviation), joined(np.add, self._presence)
        if node.statistic == "mean":
            return formulas.mean(total, count, self._centre)
        return formulas.deviation(total, joined(np.add, self._deviation * self._deviation), enough(count, 2))

    def _extreme(self, node: p.Window) -> Value:
        if node.statistic == "range":
            return _greatest(np.fmax, self._x, node.length) - _greatest(np.fmin, self._x, node.length)
        return _greatest(np.fmax if node.statistic == "max" else np.fmin, self._x, node.length)


def _folded(length: int, piece: Piece, faded: Callable[[Value, int], Value] = lambda older, size: older) -> Value:
    """Return the sum of a window's pieces, given by size and offset; the newest is added last."""
    sizes = powers(length)
    offsets = [sum(sizes[:k]) for k in range(len(sizes))]
    result = piece(sizes[-1], offsets[-1])
    for size, offset in zip(sizes[-2::-1], offsets[-2::-1], strict=True):
        result = piece(size, offset) + faded(result, size)
    return result


def _total(leaf: Value, length: int) -> Value:
    """Return the sum over the newest `length` rows."""

    def tree(size: int) -> Value:
        if size == 1:
            return leaf
        half = tree(size // 2)
        return half + ago(half, size // 2)

    return _folded(length, lambda size, offset: ago(tree(size), offset))


def _faded(leaf: Value, node: p.Decay) -> Value:
    """Return the sum over the newest rows, weighted by age."""

    def weighted(older: Value, steps: int) -> Value:
        return older * decay(steps, node.half_life)

    def tree(size: int) -> Value:
        if size == 1:
            return leaf
        half = tree(size // 2)
        return half + weighted(ago(half, size // 2), size // 2)

    return _folded(node.length, lambda size, offset: ago(tree(size), offset), weighted)


def _aged(leaf: Value, length: int, power: int) -> Value:
    """Return the sum over the newest rows, each times a power of its age."""

    def tree(size: int, age: int) -> Value:
        if size == 1:
            return ago(leaf, age) * float(age**power)
        return tree(size // 2, age) + tree(size // 2, age + size // 2)

    return _folded(length, tree)


def _greatest(join: np.ufunc, x: Expression, length: int) -> Value:
    """Return the extreme of the newest rows, from two windows that may overlap, as an extreme counts nothing."""
    if length == 1:
        return x

    def tree(size: int) -> Value:
        if size == 1:
            return x
        half = tree(size // 2)
        return join(half, ago(half, size // 2))

    size = 1 << ((length - 1).bit_length() - 1)
    return join(tree(size), ago(tree(size), length - size))
