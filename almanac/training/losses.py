"""Losses by which candidates are compared on the folds."""

from collections.abc import Callable

import numpy as np

from almanac.core.errors import TrainingError
from almanac.model.offset import probability
from almanac.training.problem import Array


def loss(metric: str, scale: str = "linear") -> Callable[[Array, Array, bool], float]:
    """Return the loss of a metric: a function of the truth, the raw prediction, and whether that is in log-odds.

    Args:
        metric: its name.
        scale: of truth and raw prediction: linear or log.
    """
    if metric == "smape":
        return _smape_of_logs if scale == "log" else _smape
    return {"rmse": _rmse, "mae": _mae, "log_loss": _log_loss}[metric]


def _rmse(y: Array, raw: Array, classification: bool) -> float:
    return float(np.sqrt(np.mean((_value(raw, classification) - y) ** 2)))


def _mae(y: Array, raw: Array, classification: bool) -> float:
    return float(np.mean(np.abs(_value(raw, classification) - y)))


def _smape(y: Array, raw: Array, classification: bool) -> float:
    size = np.abs(y) + np.abs(raw)
    # A forecast of zero for a value of zero is exact, and not 0/0.
    return float(np.mean(np.divide(2.0 * np.abs(raw - y), size, out=np.zeros_like(size), where=size > 0)))


def _smape_of_logs(y: Array, raw: Array, classification: bool) -> float:
    # 2 |a - b| / (a + b) of a = exp(raw) and b = exp(y), without their overflow.
    return float(np.mean(2.0 * np.tanh(np.abs(raw - y) / 2.0)))


def _log_loss(y: Array, raw: Array, classification: bool) -> float:
    if not classification:
        raise TrainingError("training.choose.metric: log_loss belongs to a classification; use rmse or mae")
    # By log-odds the loss is exact and finite even where the probability rounds to 0 or 1.
    return float(np.mean(np.logaddexp(0.0, raw) - y * raw))


def _value(raw: Array, classification: bool) -> Array:
    return probability(raw) if classification else raw
