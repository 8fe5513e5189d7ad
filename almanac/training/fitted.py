"""A fitted model as what the model directory can hold: weighted boosters or one estimator, and a linear part."""

from dataclasses import dataclass, field
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from almanac.core.errors import TrainingError
from almanac.model.skops_io import margin
from almanac.training.dataset import BLOCK, Rows

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinearPart:
    """`intercept + Σ coefficient · x`, where a missing x counts as its fill value.

    Attributes:
        intercept: constant.
        coefficients: one a feature, in order; shape (f,), mostly zero for a model of differences.
        fill: value that stands in for a missing feature, shape (f,): its mean in the training rows.
    """

    intercept: float
    coefficients: Array
    fill: Array

    def predict(self, X: Array, rows: Rows | None = None) -> Array:
        """Return the linear part of each row, or of the rows at these places, shape (n,)."""
        used = np.flatnonzero(self.coefficients)
        taken = X[:, used] if rows is None else X[np.ix_(rows, used)]
        filled = np.where(np.isfinite(taken), taken, self.fill[used])
        result = np.full(len(taken), self.intercept)
        for place, column in enumerate(used):
            result += self.coefficients[column] * filled[:, place]
        return result

    def scaled(self, weight: float) -> "LinearPart":
        """Return the part times `weight`."""
        return LinearPart(weight * self.intercept, weight * self.coefficients, self.fill)

    def plus(self, other: "LinearPart") -> "LinearPart":
        """Return the sum of two parts with the same fill values."""
        return LinearPart(self.intercept + other.intercept, self.coefficients + other.coefficients, self.fill)

    def to_json(self, names: list[str], link: str) -> dict[str, Any]:
        """Return the document `offset.json`; `means` are the reference points of the terms' contributions."""
        used = np.flatnonzero(self.coefficients)
        fill = {names[i]: float(self.fill[i]) for i in used}
        return {
            "intercept": float(self.intercept),
            "terms": {names[i]: float(self.coefficients[i]) for i in used},
            "fill": fill,
            "means": fill,
            "link": link,
        }


@dataclass(frozen=True)
class Fitted:
    """A fitted model: `Σ weight · booster(x)`, or an estimator's output, plus a linear part.

    For a classification all parts add up in log-odds.
    """

    linear: LinearPart
    boosters: list[tuple[float, lightgbm.Booster]] = field(default_factory=list)
    estimator: Any = None

    def raw(self, X: Array, rows: Rows | None = None) -> Array:
        """Return the value, or the log-odds of a classification, of each row, or of those at these places; (n,)."""
        result = np.empty(len(X) if rows is None else len(rows))
        for start in range(0, len(result), BLOCK):
            here = slice(start, start + BLOCK)
            result[here] = self._raw(X[here] if rows is None else X[rows[here]])
        return result

    def _raw(self, X: Array) -> Array:
        result = self.linear.predict(X)
        for weight, booster in self.boosters:
            result += weight * np.asarray(booster.predict(X, raw_score=True, num_threads=1))
        if self.estimator is not None:
            with threadpool_limits(1):
                result += margin(self.estimator)(X)
        return result

    def scaled(self, weight: float) -> "Fitted":
        """Return the model times `weight`.

        Raises:
            TrainingError: the model is an estimator, which cannot be scaled.
        """
        if self.estimator is not None:
            raise TrainingError(f"{type(self.estimator).__name__} cannot be part of a blend")
        return Fitted(self.linear.scaled(weight), [(weight * w, booster) for w, booster in self.boosters])


def combine(models: list[tuple[float, Fitted]], intercept: float = 0.0) -> Fitted:
    """Return the weighted sum of models of boosters and linear parts; a weight of zero leaves its model out."""
    parts = [model.scaled(weight) for weight, model in models if weight]
    linear = parts[0].linear
    for part in parts[1:]:
        linear = linear.plus(part.linear)
    linear = linear.plus(LinearPart(intercept, np.zeros_like(linear.coefficients), linear.fill))
    return Fitted(linear, [booster for part in parts for booster in part.boosters])


def feature_means(X: Array, rows: Rows) -> Array:
    """Return the mean of each feature over the rows where it is present, 0 where it never is; shape (f,)."""
    total, count = np.zeros(X.shape[1]), np.zeros(X.shape[1], np.int64)
    for start in range(0, len(rows), BLOCK):
        block = X[rows[start : start + BLOCK]]
        present = np.isfinite(block)
        total += np.where(present, block, 0.0).sum(axis=0)
        count += present.sum(axis=0)
    return np.asarray(total / np.maximum(count, 1))
