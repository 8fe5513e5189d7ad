"""The standard error of the difference of two candidates' losses on the folds."""

import numpy as np

from almanac.core.arrays import Array
from almanac.training.folds import fold_weights
from almanac.training.losses import row_losses
from almanac.training.tuning import Tuning


def standard_error(task: Tuning, raw: Array, other: Array) -> float:
    """Return the standard error of the difference of two losses, from the paired losses of the compared rows.

    It is that of the rule of one standard error (Breiman et al., 1984, "Classification and Regression Trees"), with
    rows taken as independent and each fold weighted as in the loss; that of a root follows by the delta method.

    Args:
        task: the target's folds and rule.
        raw: out-of-fold raw predictions of one, all folds in order.
        other: those of the other.
    """
    each, binary = row_losses(task.metric, task.problem.target.scale), task.problem.classification
    ends = np.cumsum([fold.valid.size for fold in task.folds])[:-1]
    parts = zip(
        task.folds, task.compared, fold_weights(task.folds), np.split(raw, ends), np.split(other, ends), strict=True
    )
    variance, level = 0.0, 0.0
    for fold, keep, weight, one, two in parts:
        y = task.problem.y[fold.valid][keep]
        first, second = (each(y, values[keep], binary) for values in (one, two))
        variance += weight**2 * float(np.var(first - second)) / y.size
        level += weight * float(np.sqrt(second.mean()))
    error = float(np.sqrt(variance))
    return error / (2.0 * level) if task.metric == "rmse" and level else error
