"""Linear models: ridge or logistic regression on standardised features."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from almanac.training.fitted_model import AdditiveModel, full_offset, score
from almanac.training.level_learner import LevelLearner, base
from almanac.training.problem import TrainingRows


class Linear(LevelLearner):
    """A ridge (or logistic) regression on standardised features."""

    kind: Literal["linear"]


class _Linear:
    name = "linear"
    declaration = Linear
    cost = 1
    blendable = True

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the penalty, the only parameter."""
        return {"alpha": ()}

    def fit(self, declared: Linear, parameters: dict[str, Any], data: TrainingRows, seed: int) -> AdditiveModel:
        """Return the regression in the features' own units; a missing feature counts as its mean."""
        from sklearn.linear_model import LogisticRegression, Ridge

        linear = base(declared, data)
        X = np.where(np.isfinite(data.X), data.X, linear.fill)
        scale = X.std(axis=0)
        # A constant feature would divide by zero; its coefficient becomes zero by itself.
        scale[scale < 1e-12] = 1.0
        Z = (X - linear.fill) / scale
        alpha = float(parameters.get("alpha", 1.0))
        if data.problem.classification:
            model = LogisticRegression(C=1.0 / alpha, max_iter=500).fit(Z, data.y)
        else:
            label = data.y - score(linear, data.problem.X, data.rows)
            model = Ridge(alpha=alpha, solver="cholesky").fit(Z, label)
        # Back in the features' own units, since a saved model has no step that scales.
        coefficients = np.ravel(model.coef_) / scale
        intercept = float(np.ravel(model.intercept_)[0] - coefficients @ linear.fill)
        return AdditiveModel(linear.plus(full_offset(intercept, coefficients, linear.fill)))


KIND = _Linear()
