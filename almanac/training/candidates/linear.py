"""Linear models: ridge or logistic regression on standardised features.

Around a baseline the intercept is penalised too, so that the model is the baseline itself where the penalty is large.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from almanac.core.arrays import Array
from almanac.model.offset import probability
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

        linear = base(declared, data, odds=True)
        X = np.where(np.isfinite(data.X), data.X, linear.fill)
        scale = X.std(axis=0)
        # A constant feature would divide by zero; its coefficient becomes zero by itself.
        scale[scale < 1e-12] = 1.0
        Z = (X - linear.fill) / scale
        alpha = float(parameters.get("alpha", 1.0))
        start = score(linear, data.problem.X, data.rows)
        if declared.around is not None:
            whole = np.column_stack([Z, np.ones(len(Z))])
            if data.problem.classification:
                weights = _logistic(whole, data.y, start, alpha)
            else:
                ridge = Ridge(alpha=alpha, solver="cholesky", fit_intercept=False).fit(whole, data.y - start)
                weights = np.ravel(ridge.coef_)
        elif data.problem.classification:
            weights = _weights(LogisticRegression(C=1.0 / alpha, max_iter=500).fit(Z, data.y))
        else:
            weights = _weights(Ridge(alpha=alpha, solver="cholesky").fit(Z, data.y - start))
        # Back in the features' own units, since a saved model has no step that scales.
        coefficients = weights[:-1] / scale
        intercept = float(weights[-1] - coefficients @ linear.fill)
        return AdditiveModel(linear.plus(full_offset(intercept, coefficients, linear.fill)))


def _weights(model: Any) -> Array:
    """Return the coefficients of a fitted model, its intercept last."""
    return np.append(np.ravel(model.coef_), np.ravel(model.intercept_))


def _logistic(Z: Array, y: Array, start: Array, alpha: float) -> Array:
    """Return the weights w with the least log loss of the log-odds start + Zw, plus α/2 |w|²."""
    from scipy.optimize import minimize

    def value(weights: Array) -> tuple[float, Array]:
        margin = start + Z @ weights
        loss = float(np.sum(np.logaddexp(0.0, margin) - y * margin) + alpha / 2.0 * weights @ weights)
        return loss, Z.T @ (probability(margin) - y) + alpha * weights

    return np.asarray(minimize(value, np.zeros(Z.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x)


KIND = _Linear()
