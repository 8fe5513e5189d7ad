"""Widths of intervals that trees learn from all features: how much larger a row's error is than usual at its forecast.

The trees forecast the size of the residual over the usual one at the height of the forecast. The conformal calibration
divides each residual by their forecast, which corrects what they get wrong (locally weighted split conformal
prediction; Lei et al., 2018, doi:10.1080/01621459.2017.1307116, section 5.2). They learn from out-of-fold residuals;
those that calibrate are divided by the forecast of trees that have not seen their span (cross-conformal prediction;
Vovk, 2015, doi:10.1007/s10472-013-9368-4).
"""

from typing import TYPE_CHECKING

import numpy as np

from almanac.core.arrays import Array, Mask
from almanac.training.candidates.lightgbm import SETTINGS, grow
from almanac.training.problem import Problem, Rows

if TYPE_CHECKING:
    import lightgbm

#: Least relative width, since a sum of trees may be negative.
FLOOR = 0.1
_ROUNDS = 70
#: Chosen on the folds of the reference use case by the interval score and the time.
_TREES = {
    "objective": "regression",
    "learning_rate": 0.1,
    "num_leaves": 8,
    "min_child_samples": 100,
    "colsample_bytree": 0.3,
    "extra_trees": True,
    "max_bin": 63,
    "subsample": 0.8,
    "subsample_freq": 1,
}


def row_widths(problem: Problem, rows: Rows, error: Array, learned: Mask, spans: int, seed: int) -> Array:
    """Return the relative width of each row, by trees that have not seen it; shape (n,).

    Args:
        problem: the learning problem, a regression.
        rows: positions of the rows, shape (n,).
        error: size of each row's residual over the usual one at its forecast, shape (n,).
        learned: the rows that the trees may learn from, shape (n,). Each has the width by trees of all others but those
            of its own span; a row that is not among them has that by the trees of them all.
        spans: how many spans of equally many rows the learned ones are cut to, in time.
        seed: random seed.
    """
    widths = np.empty(rows.size)
    known = np.flatnonzero(learned)
    in_time = known[np.argsort(problem.time[rows[known]], kind="stable")]
    for part in [*np.array_split(in_time, spans), np.flatnonzero(~learned)]:
        if part.size:
            others = np.setdiff1d(known, part)
            booster = _grown(problem, rows[others], error[others], seed)
            widths[part] = booster.predict(problem.X[rows[part]], num_threads=1)
    return np.maximum(widths, FLOOR)


def width_model(problem: Problem, rows: Rows, error: Array, seed: int) -> bytes:
    """Return the trees whose sum is a row's relative width, as LightGBM's text; arguments as of `row_widths`."""
    from almanac.model.lightgbm_merge import merge

    return merge([(1.0, _grown(problem, rows, error, seed))]).encode()


def _grown(problem: Problem, rows: Rows, error: Array, seed: int) -> "lightgbm.Booster":
    # Rows of several folds of a panel do not ascend.
    order = np.argsort(rows)
    return grow(problem, rows[order], error[order], {**_TREES, **SETTINGS}, _ROUNDS, [seed])[0]
