"""Metrics of regression and classification, each a function of sums over rows.

The same function returns the metric, from the sums over all rows, and its bootstrap repeats, from the sums of each
repeat.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.evaluation.bootstrap import Bootstrap, interval
from almanac.usecase.training_section import Target

Sums = Mapping[str, Array]
Metric = Callable[[Sums], Array]

#: The error metrics of each task, the leading one first.
ERRORS = {"regression": ("rmse", "mae"), "classification": ("log_loss", "brier")}

#: Probabilities are kept this far from 0 and 1 in the log loss, as scikit-learn keeps them.
_EPSILON = float(np.finfo(np.float64).eps)
#: Bins of the score in the repeats of the AUC.
_AUC_BINS = 200


def _ratio(numerator: str, denominator: str = "n") -> Metric:
    return lambda sums: _divide(sums[numerator], sums[denominator])


def _rmse(sums: Sums) -> Array:
    return np.sqrt(_divide(sums["square"], sums["n"]))


def _r2(sums: Sums) -> Array:
    return 1.0 - _divide(sums["square"], sums["yy"] - _divide(sums["y"] ** 2, sums["n"]))


REGRESSION: dict[str, Metric] = {
    "rmse": _rmse,
    "mae": _ratio("absolute"),
    "r2": _r2,
    "smape": _ratio("symmetric"),
    "bias": _ratio("error"),
}
CLASSIFICATION: dict[str, Metric] = {
    "log_loss": _ratio("log"),
    "brier": _ratio("square"),
    "bias": _ratio("error"),
    "base_rate": _ratio("y"),
}
INTERVAL: dict[str, Metric] = {"coverage": _ratio("covered"), "width": _ratio("width"), "pinball": _ratio("pinball")}


#: Of a price, whose error is a share of it.
PRICE: dict[str, Metric] = {"mae_log": _ratio("absolute_log", "positive")}


def price_terms(y: Array, prediction: Array) -> dict[str, Array]:
    """Return each row's terms of the metrics of a point forecast and of `PRICE`."""
    rows = (y > 0) & (prediction > 0)
    logs = np.log(np.where(rows, prediction, 1.0)) - np.log(np.where(rows, y, 1.0))
    return regression_terms(y, prediction) | {"absolute_log": np.abs(logs), "positive": rows.astype(np.float64)}


def errors_of(target: Target) -> tuple[str, ...]:
    """Return the error metrics of a target, the leading one first."""
    return (*ERRORS[target.task], *(PRICE if target.scale == "log" else ()))


def leading_error(target: Target) -> str:
    """Return the error metric of a target's headline: of a price that signals go by, that of its logarithm."""
    # An error in dollars says how dear the dearest lots were.
    return "mae_log" if target.signals is not None and target.scale == "log" else ERRORS[target.task][0]


def _scaled(metric: str, unit: float) -> Metric:
    return lambda sums: REGRESSION[metric](sums) / unit


def metrics_of(target: Target, scale: float, intervals: bool) -> dict[str, Metric]:
    """Return the metrics of a target's task that are functions of sums.

    Args:
        target: the target.
        scale: unit of MASE.
        intervals: whether the forecasts have intervals.
    """
    if target.task == "classification":
        return CLASSIFICATION
    metrics = REGRESSION | (PRICE if target.scale == "log" else {}) | {"mase": _scaled("mae", scale)}
    return metrics | INTERVAL if intervals else metrics


def terms_of(target: Target) -> Callable[[Array, Array], dict[str, Array]]:
    """Return the function that returns each row's terms of truth and point forecast."""
    if target.scale == "log":
        return price_terms
    return classification_terms if target.task == "classification" else regression_terms


def regression_terms(y: Array, prediction: Array) -> dict[str, Array]:
    """Return each row's terms of the metrics of a point forecast."""
    error = prediction - y
    size = np.abs(y) + np.abs(prediction)
    # A forecast of zero for a value of zero is exact, and not 0/0.
    symmetric = np.divide(2 * np.abs(error), size, out=np.zeros_like(error), where=size > 0)
    return {
        "n": np.ones_like(y),
        "error": error,
        "square": error**2,
        "absolute": np.abs(error),
        "y": y,
        "yy": y**2,
        "symmetric": symmetric,
    }


def interval_terms(y: Array, lower: Array, upper: Array, nominal: float) -> dict[str, Array]:
    """Return each row's terms of the metrics of an interval; the pinball loss is the mean of both ends'."""
    tail = (1.0 - nominal) / 2
    losses = [np.maximum(q * (y - end), (q - 1) * (y - end)) for q, end in ((tail, lower), (1.0 - tail, upper))]
    return {
        "covered": ((y >= lower) & (y <= upper)).astype(np.float64),
        "width": upper - lower,
        "pinball": (losses[0] + losses[1]) / 2,
    }


def classification_terms(y: Array, probability: Array) -> dict[str, Array]:
    """Return each row's terms of the metrics of a probability; y is 0 or 1."""
    return {
        "n": np.ones_like(y),
        "error": probability - y,
        "square": (probability - y) ** 2,
        "absolute": np.abs(probability - y),
        "log": log_loss(y, probability),
        "y": y,
    }


def log_loss(y: Array, probability: Array) -> Array:
    """Return each row's negative log likelihood."""
    p = np.clip(probability, _EPSILON, 1.0 - _EPSILON)
    # log1p, because 1 - p loses the digits of a small p.
    return -np.asarray(y * np.log(p) + (1 - y) * np.log1p(-p))


def auc(y: Array, score: Array) -> float | None:
    """Return the area under the ROC curve, ties counting half; None if one class is absent."""
    from scipy.stats import rankdata

    positive = float(y.sum())
    negative = y.size - positive
    if not positive or not negative:
        return None
    ranks = float(rankdata(score)[y == 1].sum())
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)


def auc_repeats(y: Array, score: Array, bootstrap: Bootstrap) -> Array:
    """Return the AUC of each repeat, shape (repeats,).

    Ranks are no sums, so that the repeats use a binned score: the counts of both classes in each bin are sums.
    """
    edges = np.unique(np.quantile(score, np.linspace(0, 1, _AUC_BINS + 1)[1:-1]))
    terms = np.zeros((y.size, 2 * _AUC_BINS))
    terms[np.arange(y.size), np.searchsorted(edges, score, side="right") + _AUC_BINS * (y == 1)] = 1.0
    negative, positive = np.split(bootstrap.sums(terms), 2, axis=1)
    # Pairs within one bin count half, as ties do.
    below = np.cumsum(negative, axis=1) - negative / 2
    return _divide((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


@dataclass
class Terms:
    """Terms of many metrics, bootstrapped together.

    Attributes:
        columns: terms by name, each of shape (n,).
    """

    columns: dict[str, Array] = field(default_factory=dict)

    def add(self, terms: Mapping[str, Array], prefix: str = "", where: npt.NDArray[np.bool_] | None = None) -> None:
        """Add terms under `prefix`; rows outside `where` count nothing."""
        for name, values in terms.items():
            # Zero and not left out, because all terms share one matrix of rows.
            self.columns[prefix + name] = values if where is None else np.where(where, values, 0.0)

    def sums(self, bootstrap: Bootstrap) -> "BootstrapSums":
        """Return the sums over all rows and over each repeat."""
        # One matrix, so that every metric uses the same drawn blocks.
        matrix = np.column_stack(list(self.columns.values()))
        total, repeats = matrix.sum(axis=0), bootstrap.sums(matrix)
        return BootstrapSums(
            dict(zip(self.columns, total, strict=True)), dict(zip(self.columns, repeats.T, strict=True))
        )


@dataclass(frozen=True)
class BootstrapSums:
    """Sums by name of the term.

    Attributes:
        total: over all rows.
        repeats: over each repeat, each of shape (repeats,).
    """

    total: dict[str, Array]
    repeats: dict[str, Array]

    def metric(self, metric: Metric) -> tuple[float | None, list[float] | None]:
        """Return a metric and its interval; None for each that is not finite."""
        value = float(metric(self.total))
        return (value, interval(metric(self.repeats))) if np.isfinite(value) else (None, None)

    def under(self, prefix: str) -> "BootstrapSums":
        """Return the sums of the terms under `prefix`, without it in their names."""
        return BootstrapSums(_under(self.total, prefix), _under(self.repeats, prefix))


def _under(sums: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): value for name, value in sums.items() if name.startswith(prefix)}


def _divide(numerator: Array, denominator: Array) -> Array:
    # A metric of no rows is NaN here, and becomes a missing one.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.divide(numerator, denominator))
