"""The protocol of fitted models, and the sum of boosters, layers of units and a linear part, which blends are too."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from almanac.core.arrays import Array
from almanac.model.offset import Offset
from almanac.model.units import Units
from almanac.training.problem import BLOCK, Problem, Rows

if TYPE_CHECKING:
    # Reading a use case imports the candidates, and need not wait a second for LightGBM.
    import lightgbm


@dataclass(frozen=True)
class SavedForm:
    """The files of a model's body.

    Attributes:
        body: name of the body kind that reads them, see `almanac.model.bodies`.
        files: content by name.
    """

    body: str
    files: Mapping[str, bytes]


class FittedModel(Protocol):
    """A candidate fitted to training rows."""

    def raw(self, problem: Problem, rows: Rows) -> Array:
        """Return the value, or the log-odds of a classification, of the rows at these positions, shape (n,)."""

    def saved(self, problem: Problem, offset: Offset) -> SavedForm:
        """Return the model's files."""

    def contributions(self, X: Array) -> Array | None:
        """Return the contribution of each feature to each row's raw output, shape (n, f); None without any."""

    @property
    def leaves(self) -> int:
        """Number of tree leaves that explaining a row visits."""

    @property
    def linear(self) -> Offset:
        """The linear part."""


@dataclass(frozen=True)
class AdditiveModel:
    """Weighted boosters and layers of hidden units plus a linear part; weighted sums of such models are such models.

    Attributes:
        linear: the linear part; for a classification all parts add up in log-odds.
        boosters: weight and booster.
        layers: layers of hidden units, their weights in their outputs.
    """

    linear: Offset
    boosters: list[tuple[float, "lightgbm.Booster"]] = field(default_factory=list)
    layers: list[Units] = field(default_factory=list)

    def raw(self, problem: Problem, rows: Rows) -> Array:
        """Return the value, or the log-odds of a classification, of each row, shape (n,)."""
        return by_blocks(self._raw, problem.X, rows)

    def _raw(self, X: Array) -> Array:
        result = score(self.linear, X)
        for weight, booster in self.boosters:
            # LightGBM has one number of threads for the whole process: left open, it would change under a fit in
            # another thread, which then crashes.
            result += weight * np.asarray(booster.predict(X, raw_score=True, num_threads=1))
        for layer in self.layers:
            result += layer.fast_score(X)
        return result

    def saved(self, problem: Problem, offset: Offset) -> SavedForm:
        """Return one booster with the trees of all, the layers of units, or the linear part only."""
        files = {"offset.json": offset.to_bytes(problem.names)}
        if self.boosters:
            from almanac.model.lightgbm_merge import merge

            files["model.bst"] = merge(self.boosters).encode()
        if self.layers:
            from almanac.model.bodies.units import units_files

            return SavedForm("units", {**files, **units_files(self.layers, offset, problem.names)})
        return SavedForm("lightgbm" if self.boosters else "linear", files)

    def contributions(self, X: Array) -> Array:
        """Return TreeSHAP values, plus Aumann-Shapley values of the layers, of each row's raw output, shape (n, f)."""
        values = np.zeros(X.shape)
        for weight, booster in self.boosters:
            values += weight * np.asarray(booster.predict(X, pred_contrib=True, num_threads=1))[:, :-1]
        for layer in self.layers:
            values += layer.explain(X)[0]
        self.linear.explain(values, X)
        return values

    @property
    def leaves(self) -> int:
        """Number of leaves of all trees."""
        texts = (booster.model_to_string() for _, booster in self.boosters)
        return sum(map(int, (n for text in texts for n in re.findall(r"^num_leaves=(\d+)$", text, re.MULTILINE))))


def combine(models: list[tuple[float, AdditiveModel]]) -> AdditiveModel:
    """Return the weighted sum of models; a weight of zero leaves its model out."""
    parts = [(weight, model) for weight, model in models if weight]
    linear, *others = (model.linear.scaled(weight) for weight, model in parts)
    for other in others:
        linear = linear.plus(other)
    return AdditiveModel(
        linear,
        [(weight * w, booster) for weight, model in parts for w, booster in model.boosters],
        [layer.scaled(weight) for weight, model in parts for layer in model.layers],
    )


def full_offset(intercept: float, coefficients: Array, means: Array) -> Offset:
    """Return a linear part with a coefficient for every feature, where a missing value counts as its mean."""
    return Offset(intercept, np.arange(coefficients.size), coefficients, means, means)


def score(linear: Offset, X: Array, rows: Rows | None = None) -> Array:
    """Return the linear part of each row of X, or of the rows at these positions, shape (n,)."""
    # Nearly all coefficients of a difference are zero, and X may lie on the disk.
    used = np.flatnonzero(linear.coefficients)
    terms = Offset(linear.intercept, linear.columns[used], linear.coefficients[used], linear.fill[used])
    return terms.add(np.zeros(len(X) if rows is None else len(rows)), X, rows)


def feature_means(X: Array, rows: Rows) -> Array:
    """Return the mean of each feature over the rows where it is present, 0 where it never is; shape (f,)."""
    total, count = np.zeros(X.shape[1]), np.zeros(X.shape[1], np.int64)
    for start in range(0, len(rows), BLOCK):
        block = X[rows[start : start + BLOCK]]
        present = np.isfinite(block)
        total += np.where(present, block, 0.0).sum(axis=0)
        count += present.sum(axis=0)
    return np.asarray(total / np.maximum(count, 1))


def by_blocks(raw: Callable[[Array], Array], X: Array, rows: Rows) -> Array:
    """Return the raw output of the rows of X at these positions, some at a time: X may lie on the disk."""
    result = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        result[start : start + BLOCK] = raw(X[rows[start : start + BLOCK]])
    return result


def stump(problem: Problem) -> "lightgbm.Booster":
    """Return a booster of one leaf, whose header is the frame for trees that another library has grown."""
    import lightgbm

    rows = np.flatnonzero(problem.known)[:100]
    # Labels that are all equal leave nothing to split, whatever the rows are.
    data = lightgbm.Dataset(problem.X[rows], np.zeros(rows.size), feature_name=problem.names)
    return lightgbm.train({"objective": "regression", "num_threads": 1, "verbose": -1}, data, 1)
