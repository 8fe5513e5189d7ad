"""Coverage that ties and bounds force: what the gate excuses on targets with many zeros, and what it does not."""

import numpy as np
import pytest

from almanac.evaluation.ties import forced_coverage
from almanac.training.calibration import calibrate

LEVEL, ROWS = 0.9, 20_000


def sales(zeros: float, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Values of which a share is zero and the rest is gamma distributed."""
    random = np.random.default_rng(seed)
    return np.where(random.random(ROWS) < zeros, 0.0, random.gamma(2.0, 5.0, ROWS))


def excess(y: np.ndarray[tuple[int], np.dtype[np.float64]], low: float, high: float) -> float:
    """Coverage of one interval above the nominal one, less what is forced."""
    ends = np.full(y.shape, low), np.full(y.shape, high)
    return float(((y >= low) & (y <= high)).mean() - LEVEL - forced_coverage(y, *ends, LEVEL, (0.0, None)))


@pytest.mark.parametrize("zeros", [0.1, 0.3, 0.6, 0.93, 0.97])
def test_the_quantiles_of_a_target_with_many_zeros_are_excused(zeros: float) -> None:
    y = sales(zeros)
    low, high = np.quantile(y, [0.05, 0.95])
    assert low == 0.0
    assert ((y >= low) & (y <= high)).mean() > LEVEL + 0.029
    assert excess(y, low, high) == pytest.approx(0.0, abs=0.001)


@pytest.mark.parametrize("zeros", [0.1, 0.3, 0.6, 0.93])
def test_an_upper_end_that_is_too_high_is_not_excused(zeros: float) -> None:
    y = sales(zeros)
    assert excess(y, 0.0, y.max() + 1.0) == pytest.approx(0.05, abs=0.001)
    assert excess(y, -1.0, y.max() + 1.0) == pytest.approx(0.05, abs=0.001)


def test_of_a_continuous_target_without_bounds_nothing_is_forced() -> None:
    y = np.random.default_rng(1).normal(size=ROWS)
    assert forced_coverage(y, np.full(ROWS, -3.0), np.full(ROWS, 3.0), LEVEL) == 0.0
    assert forced_coverage(np.empty(0), np.empty(0), np.empty(0), LEVEL) == 0.0


def test_an_end_on_the_upper_bound_of_a_share_is_one_sided() -> None:
    share = np.random.default_rng(2).beta(8.0, 1.0, ROWS)
    lower, upper = np.full(ROWS, np.quantile(share, 0.05)), np.ones(ROWS)
    assert forced_coverage(share, lower, upper, LEVEL, (0.0, 1.0)) == pytest.approx(0.05, abs=0.001)


@pytest.mark.parametrize("zeros", [0.3, 0.6, 0.93])
def test_calibrated_intervals_of_later_rows_are_within_the_gate_s_distance(zeros: float) -> None:
    past, later, forecast = sales(zeros, 3), sales(zeros, 4), np.full(ROWS, 4.0)
    fold = np.arange(ROWS) * 4 // ROWS
    intervals = calibrate(past, forecast, None, level=LEVEL, bins=1, fold=fold, clip=(0.0, None))
    lower, upper = intervals.apply(None, forecast)
    covered = float(((later >= lower) & (later <= upper)).mean())
    assert covered > LEVEL - 0.01
    assert covered - forced_coverage(later, lower, upper, LEVEL, (0.0, None)) < LEVEL + 0.01
