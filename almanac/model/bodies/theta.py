"""The Theta method on a target's own past, for each entity with parameters of its own: `theta.json`.

The model is that of Fiorucci, Pellegrini, Louzada, Petropoulos and Koehler (2016), "Models for optimising the theta
method and their relationship to state space models", International Journal of Forecasting 32. With n values y, level l,
and A + B·t the straight line through the values by least squares:

    l[t] = α·y[t] + (1 - α)·l[t-1]
    forecast = l[n] + (1 - 1/θ)·((1 - α)^n·A + (1 - (1 - α)^(n+1))/α·B)

Forecasts further ahead take the nearer ones as values; a dynamic model moves its line with them, too. A season is taken
out first and put back afterwards, by the classical decomposition with a centred moving average.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.past_predictor import OFFSET, PastPredictor, fill_gaps
from almanac.model.predictor import BodyKind

#: A factor of a multiplicative season below which it is left out, since values are divided by it.
_LEAST_FACTOR = 0.01


@dataclass(frozen=True)
class Theta:
    """The form and the parameters of one entity's model.

    Attributes:
        alpha: smoothing of the level, above 0 and at most 1.
        theta: curvature of the theta line, at least 1.
        dynamic: whether the straight line moves with each value.
        seasonal: none, additive or multiplicative.
        level: value of a series whose past is unknown.
    """

    alpha: float
    theta: float
    dynamic: bool
    seasonal: str
    level: float

    def __post_init__(self) -> None:
        if self.seasonal not in ("none", "additive", "multiplicative"):
            raise ModelError(f"seasonal is {self.seasonal!r}; expected none, additive or multiplicative")
        if not (np.isfinite(self.level) and np.isfinite(self.theta) and 0 < self.alpha <= 1 <= self.theta):
            raise ModelError(f"{asdict(self)}: expected a finite level, alpha in (0, 1] and theta of 1 or more")


@dataclass(frozen=True)
class ThetaPredictor(PastPredictor[Theta]):
    """Predictions by the Theta method."""

    kind = "theta"
    parameters = Theta

    def forecasts(self, past: Array, parameters: Sequence[Theta]) -> Array:
        """Return the forecast of each row, shape (n,)."""
        whole = fill_gaps(past, self.period, np.array([one.level for one in parameters]))
        additive, multiplied = (
            np.array([one.seasonal == form for one in parameters]) for form in ("additive", "multiplicative")
        )
        parts = np.zeros((len(whole), self.period))
        factors = np.ones((len(whole), self.period))
        if additive.any():
            parts[additive] = season(whole[additive], self.period)
        if multiplied.any():
            factors[multiplied] = season_factors(whole[multiplied], self.period)
        repeats = whole.shape[1] // self.period
        adjusted = (whole - np.tile(parts, repeats)) / np.tile(factors, repeats)
        # The history is a whole number of seasons, so that its first step and the next one have the same phase.
        phase = (self.steps - 1) % self.period
        return _extrapolate(adjusted, parameters, self.steps) * factors[:, phase] + parts[:, phase]


def season(values: Array, period: int) -> Array:
    """Return the season that adds up to zero, of each row of (n, h) with h in whole seasons, shape (n, period)."""
    trend = _moving_average(values, period)
    return _centred(values - trend, period)


def season_factors(values: Array, period: int) -> Array:
    """Return the factors of the season with a mean of 1, or 1 where they are no factors, shape (n, period)."""
    trend = _moving_average(values, period)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = _phase_means(values / trend, period)
        factors = ratio / _mean(ratio)[:, None]
    usable = np.all(np.isfinite(factors) & (factors >= _LEAST_FACTOR), axis=1, keepdims=True)
    return np.where(usable, factors, 1.0)


def _centred(deviation: Array, period: int) -> Array:
    means = _phase_means(deviation, period)
    return np.asarray(means - _mean(means)[:, None])


def _moving_average(values: Array, period: int) -> Array:
    """Return the centred moving average of a season, NaN for half a season at both ends, shape (n, h)."""
    half, steps = period // 2, values.shape[1]
    trend = np.full(values.shape, np.nan)
    # An even season has no middle: the values half a season away count half, as in X-11 and its followers.
    weights = np.full(2 * half + 1, 1.0 / period)
    if period % 2 == 0:
        weights[[0, -1]] /= 2.0
    total = np.zeros((len(values), steps - 2 * half))
    for lag, weight in enumerate(weights):
        total += weight * values[:, lag : lag + total.shape[1]]
    trend[:, half : steps - half] = total
    return trend


def _phase_means(values: Array, period: int) -> Array:
    """Return the mean of the known values of each phase of the season, shape (n, period)."""
    total, count = np.zeros((len(values), period)), np.zeros((len(values), period))
    for start in range(0, values.shape[1], period):
        block = values[:, start : start + period]
        total += np.where(np.isfinite(block), block, 0.0)
        count += np.isfinite(block)
    return np.asarray(total / np.maximum(count, 1.0))


def _mean(values: Array) -> Array:
    """Return the mean of each row, shape (n,), in an order that does not depend on how the rows lie in memory."""
    total = np.zeros(len(values))
    for column in values.T:
        total += column
    return np.asarray(total / values.shape[1])


def _extrapolate(values: Array, parameters: Sequence[Theta], steps: int) -> Array:
    """Return the forecast of each row without a season, shape (n,)."""
    alpha, theta, dynamic = np.array([(one.alpha, one.theta, one.dynamic) for one in parameters]).T
    n = values.shape[1]
    # The recursion of the level as a weighted sum; not a matrix product, which sums in another order for other rows.
    fading = alpha[:, None] * (1.0 - alpha[:, None]) ** np.arange(n - 1.0, -1.0, -1.0)
    level = np.einsum("nh,nh->n", fading, values) + (1.0 - alpha) ** n * values[:, 0]
    mean = np.einsum("nh->n", values) / n
    moment = np.einsum("nh,h->n", values, np.arange(1.0, n + 1.0))
    slope = 6.0 / (n * n - 1.0) * (2.0 / n * moment - (n + 1) * mean)
    intercept = mean - (n + 1) / 2.0 * slope
    forecast = level
    for step in range(n, n + steps):
        if step > n:
            # The forecast of the step before counts as its value: a mean, slope and line of `step` values follow.
            moved = ((step - 2) * slope + 6.0 / step * (forecast - mean)) / (step + 1)
            mean += (forecast - mean) / step
            slope = np.where(dynamic, moved, slope)
            intercept = np.where(dynamic, mean - (step + 1) / 2.0 * slope, intercept)
            level = alpha * forecast + (1.0 - alpha) * level
        faded = (1.0 - alpha) ** step
        forecast = level + (1.0 - 1.0 / theta) * (faded * intercept + (1.0 - faded * (1.0 - alpha)) / alpha * slope)
    return np.asarray(forecast)


KIND = BodyKind("theta", ThetaPredictor.from_files, ("theta.json", OFFSET))
