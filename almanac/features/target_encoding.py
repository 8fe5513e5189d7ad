"""Mean of a target for each level of a category, without a look at the row's own target or at any later one.

A served row has the mean of all training rows with its level. A training row's mean is of older rows alone, as ordered
target statistics are (Prokhorenkova et al., 2018, arXiv:1706.09516), here by blocks that begin where the folds do:
within a fold all rows have the means of the rows that the fold learns from.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from almanac.core.arrays import Array, Integers
from almanac.features.kind import Declaration, LearnedFromTarget
from almanac.features.level_means import LevelMeans
from almanac.features.spec import FeatureSpec
from almanac.features.table import numbers

#: Blocks of equal length before the first fold; rows of the first of them have no mean.
_EARLY = 4


def level_column(column: str) -> str:
    """Return the column of the feature table that holds a category's codes."""
    return f"level_{column}"


def level_columns(spec: FeatureSpec, table: pl.DataFrame) -> pl.DataFrame:
    """Return the codes of the categories whose levels have means of a target, NaN where missing."""
    names = dict.fromkeys(one.column for one in encodings(spec.items))
    return pl.DataFrame({level_column(name): numbers(spec, table, name) for name in names})


def encodings(items: Sequence[object]) -> Iterator[LearnedFromTarget]:
    """Yield the features that are learned from a target."""
    for item in items:
        if isinstance(item, Declaration):
            yield from item.learned_from_targets()


def ordered_means(
    codes: Array, y: Array, time: Integers, known_after: int, starts: Sequence[int], smoothing: float
) -> Array:
    """Return each row's mean by the rows whose target was known when the row's block began, shape (n,).

    Rows before the first start have none.

    Args:
        codes: code of each row's level, NaN where missing, shape (n,).
        y: the target, NaN where unknown, shape (n,).
        time: prediction time of each row on the even axis of the grid, in µs, shape (n,).
        known_after: µs after its prediction time at which a target is known.
        starts: first moments of the blocks on that axis, ascending.
        smoothing: as of `LevelMeans.of`.
    """
    result = np.full(codes.shape, np.nan)
    ends = [*starts[1:], None]
    for start, end in zip(starts, ends, strict=True):
        past = time < start - known_after
        here = (time >= start) & (time < end if end is not None else True)
        result[here] = LevelMeans.of(codes[past], y[past], smoothing).at(codes[here])
    return result


def block_starts(first: int, folds: Sequence[int]) -> list[int]:
    """Return the first moments of the blocks: parts of the span before the first fold, and the folds.

    Args:
        first: first moment of the training span, µs since the epoch.
        folds: first moment of each fold's rows to judge by, ascending.
    """
    early = (first + (folds[0] - first) * part // _EARLY for part in range(1, _EARLY))
    return [*dict.fromkeys([*early, *folds])]
