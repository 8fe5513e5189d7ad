"""A candidate: linear regression with Huber's loss, which a few wild readings cannot pull away."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from almanac.training.fitted_model import AdditiveModel, full_offset, score
from almanac.training.level_learner import LevelLearner, base
from almanac.training.problem import TrainingRows


class Huber(LevelLearner):
    """A linear regression with Huber's loss on standardised features."""

    kind: Literal["huber"]


class _Huber:
    name = "huber"
    declaration = Huber
    cost = 2
    blendable = True

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the parameters that a use case may give; none has an alias."""
        return {"alpha": (), "epsilon": ()}

    def fit(self, declared: Huber, parameters: dict[str, Any], data: TrainingRows, seed: int) -> AdditiveModel:
        """Return the regression in the features' own units; a missing feature counts as its mean."""
        from sklearn.linear_model import HuberRegressor

        linear = base(declared, data)
        X = np.where(np.isfinite(data.X), data.X, linear.fill)
        scale = X.std(axis=0)
        scale[scale < 1e-12] = 1.0
        label = data.y - score(linear, data.problem.X, data.rows)
        model = HuberRegressor(max_iter=300, **parameters).fit((X - linear.fill) / scale, label)
        coefficients = model.coef_ / scale
        intercept = float(model.intercept_ - coefficients @ linear.fill)
        # A linear model is its coefficients: the body kind "linear" saves and serves them.
        return AdditiveModel(linear.plus(full_offset(intercept, coefficients, linear.fill)))


KIND = _Huber()
