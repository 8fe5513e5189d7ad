"""Losses by which candidates are compared on the folds."""

from collections.abc import Callable

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError
from almanac.model.offset import probability

Rowwise = Callable[[Array, Array, bool], Array]


def row_losses(metric: str, scale: str = "linear") -> Rowwise:
    """Return the loss of each row: a function of the truth, the raw prediction, and whether that is log-odds.

    Args:
        metric: its name; that of rmse is the squared error.
        scale: of truth and raw prediction: linear or log.
    """
    if metric == "smape":
        return _smape_of_logs if scale == "log" else _smape
    return {"rmse": _squares, "mae": _sizes, "log_loss": _log_loss}[metric]


def loss(metric: str, scale: str = "linear") -> Callable[[Array, Array, bool], float]:
    """Return the loss of a metric, the mean of those of the rows or its root; arguments as of `row_losses`."""
    each = row_losses(metric, scale)

    def mean(y: Array, raw: Array, classification: bool) -> float:
        value = float(np.mean(each(y, raw, classification)))
        return float(np.sqrt(value)) if metric == "rmse" else value

    return mean


def _squares(y: Array, raw: Array, classification: bool) -> Array:
    return np.asarray((_value(raw, classification) - y) ** 2)


def _sizes(y: Array, raw: Array, classification: bool) -> Array:
    return np.asarray(np.abs(_value(raw, classification) - y))


def _smape(y: Array, raw: Array, classification: bool) -> Array:
    size = np.abs(y) + np.abs(raw)
    # A forecast of zero for a value of zero is exact, and not 0/0.
    return np.asarray(np.divide(2.0 * np.abs(raw - y), size, out=np.zeros_like(size), where=size > 0))


def _smape_of_logs(y: Array, raw: Array, classification: bool) -> Array:
    # 2 |a - b| / (a + b) of a = exp(raw) and b = exp(y), without their overflow.
    return np.asarray(2.0 * np.tanh(np.abs(raw - y) / 2.0))


def _log_loss(y: Array, raw: Array, classification: bool) -> Array:
    if not classification:
        raise TrainingError("training.choose.metric: log_loss belongs to a classification; use rmse or mae")
    # By log-odds the loss is exact and finite even where the probability rounds to 0 or 1.
    return np.asarray(np.logaddexp(0.0, raw) - y * raw)


def _value(raw: Array, classification: bool) -> Array:
    return probability(raw) if classification else raw
