"""Widths of intervals that two boosters of quantiles learn from all features, in place of the size of the forecast.

The boosters forecast both ends of the interval (quantile regression; Koenker and Bassett, 1978, doi:10.2307/1913643).
Half the gap between them is the scale of the row's residual in the conformal calibration, which corrects what they get
wrong (conformalised quantile regression; Romano et al., 2019, arXiv:1905.03222, here with the forecast as the centre).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from almanac.training.candidates.lightgbm import SETTINGS, grow
from almanac.training.folds import Fold
from almanac.training.problem import Array, Problem, Rows

if TYPE_CHECKING:
    import lightgbm

_ROUNDS = 100
#: Chosen on the folds of the reference use case among eight, by the interval score and the time.
_TREES = {
    "learning_rate": 0.07,
    "num_leaves": 8,
    "min_child_samples": 100,
    "colsample_bytree": 0.3,
    "extra_trees": True,
    "max_bin": 63,
    "subsample": 0.8,
    "subsample_freq": 1,
}
#: Least width, as a share of the median one: the boosters may cross.
_LEAST = 0.1


@dataclass(frozen=True)
class Widths:
    """Widths of the rows of all folds.

    Attributes:
        values: widths, each by boosters that have not seen the row's fold, shape (n,).
        floor: the least width.
    """

    values: Array
    floor: float


def fold_widths(problem: Problem, folds: list[Fold], level: float, seed: int) -> Widths:
    """Return the widths of the folds' validation rows.

    Args:
        problem: the learning problem, a regression.
        folds: the folds.
        level: nominal coverage.
        seed: random seed.
    """
    parts = []
    for fold in folds:
        low, high = _quantiles(problem, fold.train, level, seed)
        X = problem.X[fold.valid]
        ends = [np.asarray(booster.predict(X, num_threads=1), dtype=np.float64) for booster in (low, high)]
        parts.append((ends[1] - ends[0]) / 2.0)
    values = np.concatenate(parts)
    floor = max(_LEAST * float(np.median(values)), 1e-9)
    return Widths(np.maximum(values, floor), floor)


def width_model(problem: Problem, level: float, seed: int) -> bytes:
    """Return the trees whose sum is a row's width, as LightGBM's text, fitted to the whole training span."""
    from almanac.model.lightgbm_merge import merge

    low, high = _quantiles(problem, np.flatnonzero(problem.known), level, seed)
    return merge([(0.5, high), (-0.5, low)]).encode()


def _quantiles(problem: Problem, rows: Rows, level: float, seed: int) -> tuple["lightgbm.Booster", "lightgbm.Booster"]:
    """Return boosters of both quantiles of the change from the last known value, or of the value if it varies less.

    Chosen on the folds of the reference use case, where the change has the lower interval score up to 6 hours ahead,
    and the value a day ahead.
    """
    label = problem.truth[rows]
    if problem.last_name is not None:
        last = problem.X[rows, problem.names.index(problem.last_name)]
        change = label - np.where(np.isfinite(last), last, float(np.nanmean(label)))
        label = min(change, label, key=np.std)
    tail = (1.0 - level) / 2.0
    low, high = (
        grow(problem, rows, label, {"objective": "quantile", "alpha": alpha, **_TREES, **SETTINGS}, _ROUNDS, [seed])[0]
        for alpha in (tail, 1.0 - tail)
    )
    return low, high
