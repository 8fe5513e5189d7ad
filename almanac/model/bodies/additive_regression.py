"""A regression on trend and season, fitted anew to each row's past: `additive_regression.json`.

The form is that of Taylor and Letham (2018), "Forecasting at scale", The American Statistician 72: a straight line
whose slope changes at points spread over the first four fifths of the past, plus a Fourier series of the season. Where
they have priors, a ridge penalty holds the changes of slope and the Fourier coefficients down; it stands with each
entity. Least squares makes the forecast a weighted sum of the past values, with weights that depend on the parameters
alone, so that fitting anew is one product.
"""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cached_property

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.past_predictor import OFFSET, PastPredictor, fill_gaps
from almanac.model.predictor import BodyKind

#: Share of the past in which the slope may change, as in Prophet: later changes rest on too few values.
_CHANGES_UNTIL = 0.8
#: Penalty of what has none, which keeps the equations solvable.
_FREE = 1e-9


@dataclass(frozen=True)
class TrendAndSeason:
    """The form and the penalties of one entity's regression.

    Attributes:
        changepoints: points at which the slope may change.
        harmonics: pairs of sine and cosine of the season.
        trend_penalty: penalty of squared changes of slope, a step of the past being one value.
        season_penalty: penalty of squared Fourier coefficients.
        level: value of a series whose past is unknown.
    """

    changepoints: int
    harmonics: int
    trend_penalty: float
    season_penalty: float
    level: float

    def __post_init__(self) -> None:
        if not np.isfinite(astuple(self)).all() or min(astuple(self)[:-1]) < 0:
            raise ModelError(f"{asdict(self)}: expected finite numbers, and none below 0 but the level")

    def weights(self, history: int, period: int, steps: int) -> Array:
        """Return the weight of each past value in the forecast, oldest first, shape (history,)."""
        design = self._columns(np.arange(float(history)), history, period)
        penalty = np.concatenate(
            [
                [_FREE, _FREE],
                np.full(self.changepoints, self.trend_penalty + _FREE),
                np.full(design.shape[1] - 2 - self.changepoints, self.season_penalty + _FREE),
            ]
        )
        row = self._columns(np.array([history - 1.0 + steps]), history, period)[0]
        return np.asarray(design @ np.linalg.solve(design.T @ design + np.diag(penalty), row))

    def _columns(self, time: Array, history: int, period: int) -> Array:
        """Return level, slope, changes of slope and Fourier terms at these steps of the past, (n, columns)."""
        place = time / history
        changes = np.linspace(0.0, _CHANGES_UNTIL, self.changepoints + 1)[1:]
        columns = [np.ones(len(time)), place, *(np.maximum(place - change, 0.0) for change in changes)]
        for harmonic in range(1, self.harmonics + 1):
            angle = 2.0 * np.pi * harmonic * time / period
            columns += [np.sin(angle), np.cos(angle)]
        return np.column_stack(columns)


@dataclass(frozen=True)
class AdditivePredictor(PastPredictor[TrendAndSeason]):
    """Predictions by regressions on trend and season."""

    kind = "additive_regression"
    parameters = TrendAndSeason

    @cached_property
    def _weights(self) -> dict[tuple[float, ...], Array]:
        """Weights by form and penalties, which many entities share."""
        models = {_form(one): one for one in [*self.entities.values(), self.pooled]}
        return {form: one.weights(self.history, self.period, self.steps) for form, one in models.items()}

    def forecasts(self, past: Array, parameters: Sequence[TrendAndSeason]) -> Array:
        """Return the weighted sum of each row's past, shape (n,)."""
        whole = fill_gaps(past, self.period, np.array([one.level for one in parameters]))
        # Not a matrix product, which sums in another order for another number of rows.
        return np.asarray(np.einsum("nh,nh->n", whole, np.array([self._weights[_form(one)] for one in parameters])))


def _form(one: TrendAndSeason) -> tuple[float, ...]:
    return astuple(one)[:-1]


KIND = BodyKind("additive_regression", AdditivePredictor.from_files, ("additive_regression.json", OFFSET))
