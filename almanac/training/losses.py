"""Losses by which candidates are compared on the folds."""

from collections.abc import Callable

import numpy as np

from almanac.core.errors import TrainingError
from almanac.model.offset import probability
from almanac.training.problem import Array


def loss(metric: str) -> Callable[[Array, Array, bool], float]:
    """Return the loss of a metric: a function of the truth, the raw prediction, and whether that is in log-odds."""
    return {"rmse": _rmse, "mae": _mae, "log_loss": _log_loss}[metric]


def _rmse(y: Array, raw: Array, classification: bool) -> float:
    return float(np.sqrt(np.mean((_value(raw, classification) - y) ** 2)))


def _mae(y: Array, raw: Array, classification: bool) -> float:
    return float(np.mean(np.abs(_value(raw, classification) - y)))


def _log_loss(y: Array, raw: Array, classification: bool) -> float:
    if not classification:
        raise TrainingError("training.choose.metric: log_loss belongs to a classification; use rmse or mae")
    # By log-odds the loss is exact and finite even where the probability rounds to 0 or 1.
    return float(np.mean(np.logaddexp(0.0, raw) - y * raw))


def _value(raw: Array, classification: bool) -> Array:
    return probability(raw) if classification else raw
