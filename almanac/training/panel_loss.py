"""The median over the entities of their scaled errors, by which candidates for a panel are compared too."""

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.features.baselines import PERSISTENCE, SEASONAL
from almanac.training.folds import Fold
from almanac.training.problem import Problem


def median_mase(problem: Problem, folds: list[Fold], raw: Array) -> float | None:
    """Return the median over the entities of their mean absolute scaled error (Hyndman and Koehler, 2006).

    An entity's unit is the error of its seasonal naive forecast in the training span; one without a unit is left out.

    Args:
        problem: the learning problem of a value.
        folds: the folds.
        raw: out-of-fold raw predictions, all folds in order.

    Returns:
        The median; None for a table of one series, or without an entity that has errors and a unit.
    """
    entity = problem.history().entity
    if entity is None or problem.classification:
        return None
    _, code = np.unique(np.asarray(entity, dtype=np.str_), return_inverse=True)
    naive = problem.baselines.get(SEASONAL, problem.baselines[PERSISTENCE])
    naive, forecast = (np.exp(values) if problem.target.scale == "log" else values for values in (naive, raw))
    learned = np.flatnonzero(problem.known & np.isfinite(naive))
    rows = np.concatenate([fold.valid for fold in folds])
    units = _means(code[learned], np.abs(problem.truth - naive)[learned], code.max() + 1)
    errors = _means(code[rows], np.abs(forecast - problem.truth[rows]), code.max() + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = errors / units
    scaled = scaled[np.isfinite(scaled)]
    return float(np.median(scaled)) if scaled.size else None


def _means(code: npt.NDArray[np.intp], values: Array, count: int) -> Array:
    """Return the mean of each entity's values, NaN for one without any, shape (count,)."""
    n = np.bincount(code, minlength=count)
    return np.where(n > 0, np.bincount(code, values, count) / np.maximum(n, 1), np.nan)
