"""Exponential smoothing of a target's own past, for each entity with parameters of its own: `ets.json`.

The recursion is the innovations state space form of Hyndman, Koehler, Ord and Snyder (2008), "Forecasting with
Exponential Smoothing", chapter 2, with an additive (damped) trend and an additive or multiplicative season. With level
l, growth b, season s of period m, and φ the damping:

    q = l + φ·b                       the level one step ahead
    forecast = q + s[t-m]             or q · s[t-m]
    l = q + α·(y - s[t-m] - q)        or q + α·(y / s[t-m] - q)
    b = φ·b + β/α·(l - l[t-1] - φ·b)
    s[t] = s[t-m] + γ·(y - q - s[t-m])  or s[t-m] + γ·(y / q - s[t-m])

Whether errors are additive or multiplicative changes the estimates of the parameters and not this recursion. A
prediction filters the last `history` values from a state that follows from these values, see `Filter.start`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.past_predictor import OFFSET, PastPredictor
from almanac.model.predictor import BodyKind


@dataclass(frozen=True)
class Smoothing:
    """The form and the smoothing parameters of one entity's model.

    Attributes:
        alpha: smoothing of the level.
        beta: smoothing of the growth, 0 without a trend.
        gamma: smoothing of the season, 0 without one.
        phi: damping of the growth, 1 for none and 0 without a trend.
        seasonal: none, additive or multiplicative.
        level: level where the first season of the past is unknown.
    """

    alpha: float
    beta: float
    gamma: float
    phi: float
    seasonal: str
    level: float

    def __post_init__(self) -> None:
        if self.seasonal not in ("none", "additive", "multiplicative"):
            raise ModelError(f"seasonal is {self.seasonal!r}; expected none, additive or multiplicative")
        numbers = [getattr(self, name.name) for name in fields(self) if name.name != "seasonal"]
        if not np.isfinite(numbers).all() or self.alpha <= 0:
            raise ModelError(f"{asdict(self)}: expected finite parameters, and alpha above 0")


@dataclass(frozen=True)
class State:
    """Level (n,), growth (n,) and the last season (n, m), oldest first, of n series."""

    level: Array
    growth: Array
    season: Array


class Filter:
    """The recursion for n series with parameters of their own.

    Args:
        parameters: one for each series.
    """

    def __init__(self, parameters: Sequence[Smoothing]) -> None:
        table = np.array([(one.alpha, one.beta / one.alpha, one.gamma, one.phi, one.level) for one in parameters]).T
        self._alpha, self._ratio, self._gamma, self._phi, self._fallback = table
        self._seasonal = np.array([one.seasonal != "none" for one in parameters])
        self._multiplied = np.array([one.seasonal == "multiplicative" for one in parameters])

    def start(self, past: Array, period: int) -> State:
        """Return the state before the first of some whole seasons, shape (n, seasons · period).

        The level is the mean of the first season, the growth is zero, and the season is the mean deviation of all
        seasons from their own means.
        """
        blocks = [past[:, start : start + period] for start in range(0, past.shape[1], period)]
        means = [self._mean(block) for block in blocks]
        total, count = np.zeros((len(past), period)), np.zeros((len(past), period))
        multiplied, seasonal = self._multiplied[:, None], self._seasonal[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            for block, mean in zip(blocks, means, strict=True):
                deviation = np.where(multiplied, block / mean[:, None], block - mean[:, None])
                usable = np.isfinite(deviation) & seasonal
                total += np.where(usable, deviation, 0.0)
                count += usable
        season = np.where(count > 0, total / np.maximum(count, 1.0), np.where(multiplied, 1.0, 0.0))
        return State(means[0], np.zeros(len(past)), season)

    def _mean(self, values: Array) -> Array:
        """Return the mean of each row's known values, shape (n,), or the stored level where there is none."""
        total, count = np.zeros(len(values)), np.zeros(len(values))
        # Column by column: the order in which NumPy sums a row depends on how it lies in memory.
        for column in values.T:
            known = np.isfinite(column)
            total += np.where(known, column, 0.0)
            count += known
        return np.where(count > 0, total / np.maximum(count, 1.0), self._fallback)

    def run(self, state: State, values: Array) -> State:
        """Return the state after the values (n, steps); a missing value moves the state ahead without correction."""
        level, growth = state.level, state.growth
        season, period = state.season.copy(), state.season.shape[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            for step in range(values.shape[1]):
                y, old = values[:, step], season[:, step % period]
                damped = self._phi * growth
                ahead = level + damped
                adjusted = np.where(self._multiplied, y / old, y - old)
                detrended = np.where(self._multiplied, y / ahead, y - ahead)
                known = np.isfinite(adjusted) & np.isfinite(detrended)
                moved = np.where(known, ahead + self._alpha * (adjusted - ahead), ahead)
                growth = np.where(known, damped + self._ratio * (moved - level - damped), damped)
                season[:, step % period] = np.where(known, old + self._gamma * (detrended - old), old)
                level = moved
        # `forecast` counts the season from the next step, so that step's value must come first.
        return State(level, growth, np.roll(season, -(values.shape[1] % period), axis=1))

    def forecast(self, state: State, steps: int) -> Array:
        """Return the forecast this many steps after the state, shape (n,)."""
        level, growth = state.level, state.growth
        for _ in range(steps):
            growth = self._phi * growth
            level = level + growth
        season = state.season[:, (steps - 1) % state.season.shape[1]]
        return np.where(self._multiplied, level * season, level + season)


class StateSpacePredictor(PastPredictor[Smoothing]):
    """Predictions by exponential smoothing."""

    kind = "ets"
    parameters = Smoothing

    def forecasts(self, past: Array, parameters: Sequence[Smoothing]) -> Array:
        """Return the forecast of each row after the recursion over its past, shape (n,)."""
        recursion = Filter(parameters)
        return recursion.forecast(recursion.run(recursion.start(past, self.period), past), self.steps)


KIND = BodyKind("ets", StateSpacePredictor.from_files, ("ets.json", OFFSET))
