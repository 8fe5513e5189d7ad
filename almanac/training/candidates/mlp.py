"""Small multilayer perceptrons: one hidden layer, several of them averaged."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from almanac.model.units import Units, standardise
from almanac.training.fitted_model import AdditiveModel, score
from almanac.training.level_learner import LevelLearner, base, shifted
from almanac.training.problem import TrainingRows
from almanac.training.standardising import scale_of


class MLP(LevelLearner):
    """Multilayer perceptrons with one hidden layer on standardised features; scikit-learn fits them."""

    kind: Literal["mlp"]
    seeds: Annotated[int, Field(ge=1)] = 5
    """How many perceptrons with other seeds are averaged."""


class _MLP:
    name = "mlp"
    declaration = MLP
    cost = 3
    blendable = True

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the units of the hidden layer, the penalty, the epochs, the learning rate and the rows of a batch."""
        return dict.fromkeys(("units", "alpha", "epochs", "learning_rate", "batch_size"), ())

    def fit(self, declared: MLP, parameters: dict[str, Any], data: TrainingRows, seed: int) -> AdditiveModel:
        """Return the mean of the perceptrons on features compressed by asinh; a missing one counts as its mean."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        linear, problem = base(declared, data), data.problem
        scale = scale_of(data, linear.fill)
        Z = standardise(data.X, linear.fill, scale, True)
        label = data.y - score(linear, problem.X, data.rows)
        mean, spread = (0.0, 1.0) if problem.classification else (float(label.mean()), float(label.std()) or 1.0)
        settings = {
            "hidden_layer_sizes": (int(parameters.get("units", 64)),),
            "alpha": float(parameters.get("alpha", 10.0)),
            "max_iter": int(parameters.get("epochs", 4)),
            "learning_rate_init": float(parameters.get("learning_rate", 0.001)),
            "batch_size": min(int(parameters.get("batch_size", 200)), len(Z)),
        }
        kind = MLPClassifier if problem.classification else MLPRegressor
        layers, intercept = [], mean
        for number in range(declared.seeds):
            with warnings.catch_warnings():
                # Few epochs are what is asked for: they keep the perceptron smooth.
                warnings.simplefilter("ignore", ConvergenceWarning)
                fitted = kind(**settings, random_state=seed + number).fit(Z, (label - mean) / spread)
            hidden, output = fitted.coefs_
            part = spread / declared.seeds
            layers.append(
                Units(
                    fill=linear.fill,
                    scale=scale,
                    weights=np.ascontiguousarray(hidden.T),
                    output=part * output[:, 0],
                    bias=fitted.intercepts_[0],
                    squash=True,
                )
            )
            intercept += part * float(fitted.intercepts_[1][0])
        return AdditiveModel(shifted(linear, intercept), layers=layers)


KIND = _MLP()
