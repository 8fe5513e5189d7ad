"""scikit-learn's HistGradientBoosting of the level, or of the difference from the last known value."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from almanac.core.arrays import Array
from almanac.model.offset import Offset
from almanac.training.fitted_model import SavedForm, by_blocks, score, stump
from almanac.training.level_learner import LevelLearner, base
from almanac.training.problem import Problem, Rows, TrainingRows

#: Constructor arguments that follow from the target and the seed, or have no saved form.
_NOT_DECLARED = {"loss", "quantile", "categorical_features", "warm_start", "verbose", "random_state"}
_CLASSES = ("HistGradientBoostingRegressor", "HistGradientBoostingClassifier")
#: Rows on which the trees in LightGBM's format are compared with the estimator.
_COMPARED = 5_000


class HistGradientBoosting(LevelLearner):
    """scikit-learn's HistGradientBoosting."""

    kind: Literal["hist_gradient_boosting"]


@dataclass(frozen=True)
class EstimatorModel:
    """An estimator on top of a linear part.

    Attributes:
        linear: the linear part.
        estimator: the fitted scikit-learn estimator.
    """

    linear: Offset
    estimator: Any

    def raw(self, problem: Problem, rows: Rows) -> Array:
        """Return the value, or the log-odds of a classification, of each row, shape (n,)."""
        return by_blocks(self._raw, problem.X, rows)

    def _raw(self, X: Array) -> Array:
        from almanac.model.skops_io import margin

        # scikit-learn's trees add up in another order with more threads.
        with threadpool_limits(1):
            return np.asarray(score(self.linear, X) + margin(self.estimator)(X))

    def saved(self, problem: Problem, offset: Offset) -> SavedForm:
        """Return the estimator's archive, and its trees in LightGBM's format, which the server compiles."""
        from almanac.model.lightgbm_export import booster_of
        from almanac.model.skops_io import write_estimator

        # LightGBM's format lets the server's kernels predict and explain without scikit-learn.
        template = stump(problem).model_to_string(num_iteration=-1)
        text = booster_of(self.estimator, template, problem.X[np.flatnonzero(problem.train)[:_COMPARED]])
        files = {"model.skops": write_estimator(self.estimator), "model.bst": text.encode()}
        return SavedForm("sklearn", {**files, "offset.json": offset.to_bytes(problem.names)})

    def contributions(self, X: Array) -> Array:
        """Return the contribution of each feature to each row's raw output, shape (n, f)."""
        from almanac.model.skops_io import tree_contributions

        values = tree_contributions(self.estimator, X)[0]
        self.linear.explain(values, X)
        return values

    @property
    def leaves(self) -> int:
        """Return 0: the cost of an explanation is not known."""
        return 0


class _HistGradientBoosting:
    name = "hist_gradient_boosting"
    declaration = HistGradientBoosting
    cost = 2
    blendable = False

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the constructors' arguments, but for those that training sets."""
        return dict.fromkeys(_constructor_arguments() - _NOT_DECLARED, ())

    def fit(
        self, declared: HistGradientBoosting, parameters: dict[str, Any], data: TrainingRows, seed: int
    ) -> EstimatorModel:
        """Return the estimator without early stopping, which would hold out random rows."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        linear = base(declared, data)
        kind = HistGradientBoostingClassifier if data.problem.classification else HistGradientBoostingRegressor
        estimator = kind(**{"early_stopping": False, **parameters}, random_state=seed)
        return EstimatorModel(linear, estimator.fit(data.X, data.y - score(linear, data.problem.X, data.rows)))


@cache
def _constructor_arguments() -> frozenset[str]:
    """Return the parameters of both classes' `get_params`, from the source: the import takes more than a second."""
    spec = find_spec("sklearn")
    if spec is None:
        return frozenset()
    module = Path((spec.submodule_search_locations or [""])[0], "ensemble/_hist_gradient_boosting/gradient_boosting.py")
    classes = [node for node in ast.parse(module.read_bytes()).body if getattr(node, "name", "") in _CLASSES]
    constructors = [
        item
        for node in classes
        for item in ast.iter_child_nodes(node)
        if isinstance(item, ast.FunctionDef) and item.name == "__init__"
    ]
    return frozenset(arg.arg for item in constructors for arg in [*item.args.args[1:], *item.args.kwonlyargs])


KIND = _HistGradientBoosting()
