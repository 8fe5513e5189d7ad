"""Features that are forecasts themselves, such as the value a day ago or the mean of the same hour in a week."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from almanac.core.errors import TrainingError
from almanac.training.fitted_model import AdditiveModel, feature_means, full_offset
from almanac.training.problem import TrainingRows
from almanac.usecase.training_section import Learner


class Feature(Learner):
    """A feature that is a forecast itself: the seasonal naive forecast, or a profile of the last days."""

    kind: Literal["feature"]
    feature: str
    """Feature, on the target's scale: for scale log a logarithm, for a classification log-odds. {column} and {horizon}
    stand for those of the target."""


class _Feature:
    name = "feature"
    declaration = Feature
    cost = 0
    blendable = True

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return no parameter: there is nothing to estimate."""
        return {}

    def fit(self, declared: Feature, parameters: dict[str, Any], data: TrainingRows, seed: int) -> AdditiveModel:
        """Return the feature as a linear model; a missing value counts as the mean of the rows."""
        problem = data.problem
        feature = declared.feature.replace("{column}", problem.target.column)
        if (feature := feature.replace("{horizon}", problem.target.horizon)) not in problem.names:
            raise TrainingError(f"candidate {declared.name}: there is no feature {feature}; see features.items")
        coefficients = np.zeros(len(problem.names))
        coefficients[problem.names.index(feature)] = 1.0
        return AdditiveModel(full_offset(0.0, coefficients, feature_means(problem.X, data.rows)))


KIND = _Feature()
