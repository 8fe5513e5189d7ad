"""An additive regression on trend and season in Prophet's manner, fitted anew at each forecast; see its body."""

from itertools import product
from typing import Any, Literal

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError
from almanac.model.bodies.additive_regression import AdditivePredictor, TrendAndSeason
from almanac.training.past_candidate import PastCandidate, PastLearner, interpolated

#: Penalties that are compared; Prophet's priors are tuned over as wide a range.
_TREND, _SEASON = (0.1, 10.0, 1000.0), (0.1, 10.0, 1000.0)


class AdditiveRegression(PastLearner):
    """A straight line with changes of slope and a Fourier series of the season, by ridge regression on the past."""

    kind: Literal["additive_regression"]


def estimate(values: Array, period: int, history: int, steps: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the penalties with the least absolute error `steps` ahead, over all pasts in the values."""
    whole = interpolated(values)
    trends, seasons = (
        [float(parameters[name])] if name in parameters else list(grid)
        for name, grid in (("trend_penalty", _TREND), ("season_penalty", _SEASON))
    )
    harmonics = min(int(parameters.get("harmonics", 10)), period // 2)
    changepoints = int(parameters.get("changepoints", 25))
    models = [
        TrendAndSeason(changepoints, harmonics, trend, season, float(whole.mean()))
        for trend, season in product(trends, seasons)
    ]
    if len(models) == 1:
        return vars(models[0]).copy()
    if len(whole) < history + steps:
        raise TrainingError(
            f"{len(whole)} values are fewer than the {history + steps} that a comparison of penalties needs; raise "
            "'learn_from', lower 'seasons', or fix both penalties"
        )
    pasts = np.lib.stride_tricks.sliding_window_view(whole, history)[: len(whole) - history - steps + 1]
    truth = whole[history + steps - 1 :]
    errors = [np.abs(pasts @ model.weights(history, period, steps) - truth).mean() for model in models]
    return vars(models[int(np.argmin(errors))]).copy()


KIND = PastCandidate(
    "additive_regression",
    AdditiveRegression,
    cost=2,
    arguments=("changepoints", "harmonics", "trend_penalty", "season_penalty"),
    body=AdditivePredictor,
    estimate=estimate,
    longest=2016,  # a week of five minutes
    by_statsforecast=False,
)
