"""Scales by which learners of smooth functions standardise features."""

import numpy as np

from almanac.core.arrays import Array
from almanac.training.problem import BLOCK, TrainingRows


def scale_of(data: TrainingRows, fill: Array) -> Array:
    """Return the standard deviation of each feature, shape (f,), a missing one counting as `fill`; 1 for a constant."""
    total = np.zeros(len(fill))
    for start in range(0, len(data.rows), BLOCK):
        X = data.problem.X[data.rows[start : start + BLOCK]]
        total += (np.where(np.isfinite(X), X - fill, 0.0) ** 2).sum(axis=0)
    scale = np.sqrt(total / len(data.rows))
    return np.where(scale < 1e-12, 1.0, scale)
