"""Figures of regression and classification, each a function of sums over rows.

The same functions give the figure itself, from the sums over all rows, and its bootstrap repeats, from the sums of
each repeat.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from almanac.evaluation.bootstrap import Bootstrap, interval

Array = npt.NDArray[np.float64]
Sums = Mapping[str, Array]
Figure = Callable[[Sums], Array]

#: Probabilities are kept this far from 0 and 1 in the log loss, as scikit-learn keeps them.
_EPSILON = float(np.finfo(np.float64).eps)


def ratio(numerator: str, denominator: str = "n") -> Figure:
    """Return the figure that divides two sums."""
    return lambda sums: _divide(sums[numerator], sums[denominator])


def root(numerator: str, denominator: str = "n") -> Figure:
    """Return the figure that is the root of a mean."""
    return lambda sums: np.sqrt(_divide(sums[numerator], sums[denominator]))


def r2(sums: Sums) -> Array:
    """Return the coefficient of determination."""
    return 1.0 - _divide(sums["square"], sums["yy"] - _divide(sums["y"] ** 2, sums["n"]))


def regression_terms(y: Array, prediction: Array) -> dict[str, Array]:
    """Return each row's terms of the point forecast's figures."""
    error = prediction - y
    size = np.abs(y) + np.abs(prediction)
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
    """Return each row's terms of the interval's figures; the pinball loss is the mean of both ends'."""
    tail = (1.0 - nominal) / 2
    losses = [np.maximum(q * (y - end), (q - 1) * (y - end)) for q, end in ((tail, lower), (1.0 - tail, upper))]
    return {
        "covered": ((y >= lower) & (y <= upper)).astype(np.float64),
        "width": upper - lower,
        "pinball": (losses[0] + losses[1]) / 2,
    }


def classification_terms(y: Array, probability: Array) -> dict[str, Array]:
    """Return each row's terms of a probability's figures; y is 0 or 1."""
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
    return -np.asarray(y * np.log(p) + (1 - y) * np.log1p(-p))


def auc(y: Array, score: Array) -> float | None:
    """Return the area under the ROC curve, ties counting half; None where one class is absent."""
    from scipy.stats import rankdata

    positive = float(y.sum())
    negative = y.size - positive
    if not positive or not negative:
        return None
    ranks = float(rankdata(score)[y == 1].sum())
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)


def auc_terms(y: Array, score: Array, bins: int = 200) -> Array:
    """Return each row's terms of a binned AUC, shape (n, 2 * bins): a count for its class and its bin of the score."""
    edges = np.unique(np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, score, side="right")
    terms = np.zeros((y.size, 2 * bins))
    terms[np.arange(y.size), place + bins * (y == 1)] = 1.0
    return terms


def auc_from_sums(sums: Array) -> Array:
    """Return the binned AUC of each repeat from its counts, shape (repeats, 2 * bins)."""
    negative, positive = np.split(sums, 2, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    return _divide((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


@dataclass
class Tally:
    """Terms of many figures, bootstrapped together.

    Attributes:
        terms: columns of terms, each of shape (n,), by name.
    """

    terms: dict[str, Array] = field(default_factory=dict)

    def add(self, terms: Mapping[str, Array], prefix: str = "", where: npt.NDArray[np.bool_] | None = None) -> None:
        """Add terms under `prefix`; rows outside `where` add nothing."""
        for name, values in terms.items():
            self.terms[prefix + name] = values if where is None else np.where(where, values, 0.0)

    def draw(self, bootstrap: Bootstrap) -> "Drawn":
        """Return the sums over all rows and over each repeat."""
        matrix = np.column_stack(list(self.terms.values()))
        once, often = matrix.sum(axis=0), bootstrap.sums(matrix)
        names = list(self.terms)
        return Drawn(dict(zip(names, once, strict=True)), dict(zip(names, often.T, strict=True)))


@dataclass(frozen=True)
class Drawn:
    """Sums over all rows, and of each repeat, by name of the term."""

    once: dict[str, Array]
    often: dict[str, Array]

    def figure(self, figure: Figure) -> tuple[float | None, list[float] | None]:
        """Return a figure and its interval; None for what cannot be computed."""
        value = float(figure(self.once))
        return (value, interval(figure(self.often))) if np.isfinite(value) else (None, None)

    def below(self, prefix: str) -> "Drawn":
        """Return the terms whose name begins with `prefix`, without it."""
        return Drawn(_below(self.once, prefix), _below(self.often, prefix))


def _below(sums: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): value for name, value in sums.items() if name.startswith(prefix)}


def _divide(numerator: Array, denominator: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.divide(numerator, denominator))
