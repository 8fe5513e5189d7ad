"""Seasonal ARIMA of a target's own past, for each entity with an order and coefficients of its own: `arima.json`.

With B the backward shift, m the season, a model of order (p, d, q)(P, D, Q) is

    φ(B) Φ(B^m) (1 - B)^d (1 - B^m)^D (y[t] - mean - drift·t) = θ(B) Θ(B^m) e[t]

in the signs of Box, Jenkins and Reinsel, "Time Series Analysis", chapters 4 and 9, with + before the moving average's
coefficients. Given the past and errors of zero before the first that can be computed, the forecast is a weighted sum of
the past values. The weights follow from order and coefficients, so that a prediction is one product.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.past_predictor import OFFSET, PastPredictor, fill_gaps
from almanac.model.predictor import BodyKind


@dataclass(frozen=True)
class SeasonalARIMA:
    """Order and coefficients of one entity's model.

    Attributes:
        ar: autoregressive coefficients φ, from lag 1 on.
        ma: coefficients θ of the moving average.
        seasonal_ar: seasonal autoregressive coefficients Φ.
        seasonal_ma: coefficients Θ of the seasonal moving average.
        differences: differences of one step, d.
        seasonal_differences: differences of one season, D.
        mean: mean of the series, 0 where differences remove it.
        drift: growth of a step, 0 without one.
        level: value of a series whose past is unknown.
    """

    ar: Sequence[float]
    ma: Sequence[float]
    seasonal_ar: Sequence[float]
    seasonal_ma: Sequence[float]
    differences: int
    seasonal_differences: int
    mean: float
    drift: float
    level: float

    def __post_init__(self) -> None:
        numbers = [*self.ar, *self.ma, *self.seasonal_ar, *self.seasonal_ma, self.mean, self.drift, self.level]
        if not np.isfinite(numbers).all():
            raise ModelError(f"{asdict(self)}: expected finite coefficients")
        if self.differences not in (0, 1, 2) or self.seasonal_differences not in (0, 1):
            raise ModelError(f"{asdict(self)}: expected at most two differences, and one of a season")

    def polynomials(self, period: int) -> tuple[Array, Array]:
        """Return the coefficients of both sides' polynomials in B, the first of each being 1."""
        left = np.convolve(_polynomial(self.ar, 1, -1.0), _polynomial(self.seasonal_ar, period, -1.0))
        for _ in range(self.differences):
            left = np.convolve(left, _polynomial([1.0], 1, -1.0))
        for _ in range(self.seasonal_differences):
            left = np.convolve(left, _polynomial([1.0], period, -1.0))
        return left, np.convolve(_polynomial(self.ma, 1, 1.0), _polynomial(self.seasonal_ma, period, 1.0))

    def weights(self, history: int, period: int, steps: int) -> tuple[Array, float]:
        """Return the weight of each past value, oldest first, shape (history,), and the constant of the forecast."""
        left, right = self.polynomials(period)
        lags, errors = len(left) - 1, len(right) - 1
        if lags > history:
            raise ModelError(f"{asdict(self)}: looks back {lags} steps, and the history has {history}")
        # The forecasts one to `steps` ahead, as weights of the last `lags` values and of the last `errors` errors.
        values, shocks = np.zeros((lags + steps, lags)), np.zeros((lags + steps, errors))
        values[:lags] = np.eye(lags)
        for ahead in range(steps):
            now = lags + ahead
            # Newest first, as the coefficients are.
            values[now] = -left[1:] @ values[ahead:now][::-1]
            shocks[now] = -left[1:] @ shocks[ahead:now][::-1]
            for lag in range(ahead + 1, errors + 1):
                shocks[now, errors + ahead - lag] += right[lag]
        weights = np.zeros(history)
        weights[history - lags :] = values[-1]
        weights += _through_errors(shocks[-1], left, right, history)
        target = history - 1 + steps
        constant = self.mean * (1.0 - weights.sum()) + self.drift * (target - weights @ np.arange(history))
        return weights, float(constant)


def _polynomial(coefficients: Sequence[float], step: int, sign: float) -> Array:
    """Return the polynomial 1 + sign·(c[1] B^step + c[2] B^(2·step) + …)."""
    result = np.zeros(len(coefficients) * step + 1)
    result[0] = 1.0
    result[step::step] = sign * np.asarray(coefficients)
    return result


def _through_errors(shocks: Array, left: Array, right: Array, history: int) -> Array:
    """Return the weights of the past values that come of the weights of the last errors, shape (history,)."""
    lags, errors = len(left) - 1, len(right) - 1
    if not errors:
        return np.zeros(history)
    # An error is a weighted sum of the values of φ(B)…y so far: response[k] is the weight of the one k steps ago.
    response = np.zeros(history)
    response[0] = 1.0
    for step in range(1, history):
        reach = min(step, errors)
        response[step] = -right[1 : reach + 1] @ response[step - reach : step][::-1]
    weights = np.zeros(history)
    for place, weight in enumerate(shocks):
        time = history - errors + place
        if weight and time >= lags:
            weights[lags : time + 1] += weight * response[: time + 1 - lags][::-1]
    # From weights of φ(B)…y to weights of y.
    return np.convolve(weights[lags:], left[::-1])


@dataclass(frozen=True)
class ARIMAPredictor(PastPredictor[SeasonalARIMA]):
    """Predictions by seasonal ARIMA."""

    kind = "arima"
    parameters = SeasonalARIMA

    @cached_property
    def _weights(self) -> dict[int, tuple[Array, float]]:
        models = [*self.entities.values(), self.pooled]
        return {id(model): model.weights(self.history, self.period, self.steps) for model in models}

    def forecasts(self, past: Array, parameters: Sequence[SeasonalARIMA]) -> Array:
        """Return the weighted sum of each row's past, shape (n,)."""
        whole = fill_gaps(past, self.period, np.array([one.level for one in parameters]))
        weights, constants = zip(*(self._weights[id(one)] for one in parameters), strict=True)
        # Not a matrix product, which sums in another order for another number of rows.
        return np.asarray(np.einsum("nh,nh->n", whole, np.array(weights)) + np.array(constants))


KIND = BodyKind("arima", ARIMAPredictor.from_files, ("arima.json", OFFSET))
