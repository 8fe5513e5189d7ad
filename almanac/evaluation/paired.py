"""Paired comparison of two forecasts on the same rows.

The error of one over that of the other is compared on a logarithmic scale, on which its distribution is close to
symmetric, in each of the span's periods. The bounds are those of Student's t for the mean of the periods' logarithms,
with one degree of freedom less than there are periods (see `periods`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.evaluation.block_length import block_length
from almanac.evaluation.bootstrap import Bootstrap, sums_by_step
from almanac.evaluation.metrics import log_loss, price_terms
from almanac.evaluation.periods import Codes, periods_of, sums_by_period
from almanac.evaluation.student import noncentrality, student_quantile
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_microseconds

REPEATS = 500
SEED = 7
#: Share of the worse models that must be refused for a difference to count as detectable.
POWER = 0.9
#: Excess of the error for which the standard error of a worse model is measured.
_WORSE = 0.1
_FEWEST_ROWS = 30
_FEWEST_PERIODS = 3
# Loss, as a share of the mean, that a period has at least.
_LEAST = 1e-6
# The largest weight of a baseline in a model that is made worse by it.
_MOST_WEIGHT = 8.0
_HALVINGS = 40


@dataclass(frozen=True)
class Clock:
    """Times of rows, as the bootstrap needs them.

    Attributes:
        time: µs on the even axis of the grid, shape (n,).
        frequency: µs between two steps.
        lead: steps from the newest value that a forecast knows to the one that it forecasts.
    """

    time: npt.NDArray[np.int64]
    frequency: int
    lead: int

    def at(self, rows: npt.NDArray[np.bool_]) -> "Clock":
        """Return the times of some rows."""
        return Clock(self.time[rows], self.frequency, self.lead)

    @cached_property
    def periods(self) -> Codes:
        """Number of each row's period, shape (n,)."""
        return periods_of(self.time, self.frequency, self.lead)

    def draw(self, values: Array) -> Bootstrap:
        """Return the drawn blocks for the mean of the rows' values, shape (n,)."""
        length = block_length(sums_by_step(self.time, self.frequency, values), self.lead)
        return Bootstrap.draw(self.time, self.frequency, length * self.frequency, REPEATS, SEED)


def clock_of(usecase: UseCase, target: Target, time: npt.NDArray[np.int64]) -> Clock:
    """Return the times of a target's rows, which are given in µs since the epoch."""
    grid = usecase.time.grid
    ahead = to_microseconds(target.horizon) + to_microseconds(usecase.features.cutoff)
    return Clock(grid.to_even(time), grid.step, -(-ahead // grid.step))


@dataclass(frozen=True)
class PairedLosses:
    """Losses of two forecasts on the same rows.

    Attributes:
        clock: times of the rows.
        ours: loss of the judged forecast, shape (n,).
        theirs: loss of the forecast that it is compared with, shape (n,).
        power: 0.5 for a root mean square, 1 for a mean.
    """

    clock: Clock
    ours: Array
    theirs: Array
    power: float

    @property
    def enough(self) -> bool:
        """Whether there are rows and periods enough to compare at all."""
        return self.ours.size >= _FEWEST_ROWS and self.log_ratios.size >= _FEWEST_PERIODS

    @property
    def errors(self) -> tuple[float, float]:
        """Both errors."""
        return float(self.ours.mean() ** self.power), float(self.theirs.mean() ** self.power)

    @cached_property
    def log_ratio(self) -> float:
        """Logarithm of our error over theirs, on all rows."""
        ours, theirs = self.errors
        # Two forecasts without an error are equal, and none is worse than infinitely better.
        if ours == theirs:
            return 0.0
        return float(np.log(ours / theirs)) if ours and theirs else float(np.inf if ours else -np.inf)

    @cached_property
    def log_ratios(self) -> Array:
        """The same in each period, shape (periods,)."""
        code = self.clock.periods
        # A period without any error has no ratio; this share of the mean loss stands in for what it lacks.
        least = _LEAST * max(float(self.ours.mean()), float(self.theirs.mean())) * np.bincount(code)
        ours, theirs = (sums_by_period(code, loss) + least for loss in (self.ours, self.theirs))
        return np.zeros(ours.shape) if np.array_equal(ours, theirs) else np.asarray(self.power * np.log(ours / theirs))

    @cached_property
    def typical(self) -> float:
        """Mean of the periods' logarithms."""
        return float(self.log_ratios.mean())

    @cached_property
    def standard_error(self) -> float:
        """Standard error of that mean."""
        return float(self.log_ratios.std(ddof=1) / np.sqrt(self.log_ratios.size)) if self.log_ratios.size > 1 else 0.0

    @property
    def degrees(self) -> int:
        """Degrees of freedom."""
        return self.log_ratios.size - 1

    def quantile(self, level: float) -> float:
        """Return the quantile of Student's t."""
        return student_quantile(self.degrees, level)

    def at_least(self, rate: float) -> float:
        """Return the lower bound of our relative excess, which is wrongly above zero at this rate for equal errors.

        It is no more than the excess on all rows, in which single severe periods count for more.
        """
        low = self.typical - self.quantile(1.0 - rate) * self.standard_error
        return float(np.expm1(min(low, self.log_ratio)))

    def at_most(self, rate: float) -> float:
        """Return the upper bound of our relative excess, no less than the excess on all rows."""
        high = self.typical + self.quantile(1.0 - rate) * self.standard_error
        return float(np.expm1(max(high, self.log_ratio)))


def losses(metric: str, y: Array, forecast: Array) -> tuple[Array, float]:
    """Return the loss of each row, and the power that makes an error of their mean."""
    if metric == "log_loss":
        return log_loss(y, forecast), 1.0
    if metric == "mae_log":
        return price_terms(y, forecast)["absolute_log"], 1.0
    return ((forecast - y) ** 2, 0.5) if metric == "rmse" else (np.abs(forecast - y), 1.0)


def compare(metric: str, clock: Clock, y: Array, ours: Array, theirs: Array) -> PairedLosses:
    """Return the losses of two forecasts, both finite, on the same rows, each of shape (n,)."""
    (first, power), (second, _) = (losses(metric, y, forecast) for forecast in (ours, theirs))
    return PairedLosses(clock, first, second, power)


def detectable(pair: PairedLosses, worse: PairedLosses | None, rate: float, tolerance: float = 0.0) -> float | None:
    """Return how much larger our error must be to be refused in `POWER` of the cases; None if nothing says so.

    The excess e that is found so often solves e = log(1 + tolerance) + d s(e), with d the noncentrality at which
    Student's t exceeds the bound's quantile so often. The variance s² is the pair's own and that of a worse model,
    which is measured at `_WORSE` and in proportion to e, as errors that are independent of the model's add to the mean
    and to its variance alike.

    Args:
        pair: the compared forecasts.
        worse: a forecast made worse against the one it was made of, see `made_worse`.
        rate: rate of false refusals.
        tolerance: relative excess that counts as equal.
    """
    if worse is None or worse.log_ratio <= 0:
        return None
    d = noncentrality(pair.degrees, pair.quantile(1.0 - rate), POWER)
    excess = worse.log_ratio
    for _ in range(_HALVINGS):
        variance = pair.standard_error**2 + worse.standard_error**2 * excess / worse.log_ratio
        excess = float(np.log1p(tolerance) + d * np.sqrt(variance))
    return float(np.expm1(excess))


def made_worse(metric: str, clock: Clock, y: Array, forecast: Array, baseline: Array) -> PairedLosses | None:
    """Return a forecast made `_WORSE` worse by mixing a baseline in, against itself; None if no mixture is that bad.

    Args:
        metric: the error.
        clock: times of the rows.
        y: truth, shape (n,).
        forecast: the forecast, shape (n,).
        baseline: the baseline's, NaN where it has none, shape (n,).
    """
    present = np.isfinite(baseline)
    y, forecast, baseline = y[present], forecast[present], baseline[present]
    if y.size < _FEWEST_ROWS:
        return None
    clock = clock.at(present)

    def mixed(weight: float) -> PairedLosses:
        mixture = forecast + weight * (baseline - forecast)
        # A weight above one leaves the range of probabilities.
        mixture = np.clip(mixture, 0.0, 1.0) if metric == "log_loss" else mixture
        return compare(metric, clock, y, mixture, forecast)

    low, high = 0.0, _MOST_WEIGHT
    if mixed(high).log_ratio < np.log1p(_WORSE):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if mixed(middle).log_ratio >= np.log1p(_WORSE) else (middle, high)
    return mixed(high)
