"""The paired comparison over months of dependent errors: how often it is wrong, and what it finds."""

import numpy as np
import pytest

from almanac.core.arrays import Array
from almanac.evaluation.block_length import block_length, optimal_length
from almanac.evaluation.paired import Clock, compare, detectable, made_worse

HOUR = 3_600_000_000
RATE = 0.01


def autoregressive(random: np.random.Generator, n: int, memory: float = 0.9) -> Array:
    shocks, values = random.normal(size=n) * np.sqrt(1 - memory**2), np.zeros(n)
    for step in range(1, n):
        values[step] = memory * values[step - 1] + shocks[step]
    return values


def test_equal_models_are_rarely_refused_and_worse_ones_are_where_the_rows_allow_it() -> None:
    random, wrong, found, allowed = np.random.default_rng(1), 0, 0, 0
    for _ in range(200):
        n = 720
        clock = Clock(np.arange(n, dtype=np.int64) * HOUR, HOUR, 6)
        y, common = np.zeros(n), autoregressive(random, n)
        ours, theirs = (common + 0.3 * autoregressive(random, n) for _ in range(2))
        baseline = theirs + 0.8 * autoregressive(random, n)
        pair = compare("rmse", clock, y, ours, theirs)
        wrong += pair.at_least(RATE) > 0
        smallest = detectable(pair, made_worse("rmse", clock, y, theirs, baseline), RATE)
        worse = ours * 1.3
        if smallest is not None and smallest <= 0.3:
            allowed += 1
            found += compare("rmse", clock, y, worse, theirs).at_least(RATE) > 0
    assert wrong <= 10
    assert allowed >= 20
    assert found >= 0.9 * allowed


def test_a_model_is_as_good_as_itself() -> None:
    random = np.random.default_rng(2)
    clock, forecast = Clock(np.arange(200, dtype=np.int64) * HOUR, HOUR, 1), random.normal(size=200)
    pair = compare("mae", clock, np.zeros(200), forecast, forecast)
    assert (pair.log_ratio, pair.standard_error, pair.at_least(RATE)) == (0.0, 0.0, 0.0)


def test_blocks_are_longer_where_neighbours_are_alike_and_span_two_leads_at_least() -> None:
    random = np.random.default_rng(3)
    free, tied = random.normal(size=2000), autoregressive(random, 2000, 0.95)
    assert optimal_length(free) <= 5 < 20 <= optimal_length(tied) <= 200
    assert block_length(free, 24) == 48
    assert optimal_length(np.zeros(100)) == 1


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_a_model_made_worse_is_a_tenth_worse(metric: str) -> None:
    random = np.random.default_rng(4)
    clock = Clock(np.arange(500, dtype=np.int64) * HOUR, HOUR, 1)
    y, forecast, baseline = np.zeros(500), random.normal(size=500), 3 * random.normal(size=500)
    worse = made_worse(metric, clock, y, forecast, baseline)
    assert worse is not None
    assert np.expm1(worse.log_ratio) == pytest.approx(0.1, abs=1e-6)
    assert made_worse(metric, clock, y, forecast, np.full(500, np.nan)) is None


def test_the_error_of_logarithms_is_that_of_shares_of_the_price() -> None:
    random = np.random.default_rng(6)
    clock, y = Clock(np.arange(300, dtype=np.int64) * HOUR, HOUR, 1), random.lognormal(3, 1, 300)
    ours, theirs = (y * random.lognormal(0, spread, 300) for spread in (0.1, 0.2))
    pair = compare("mae_log", clock, y, ours, theirs)
    expected = [float(np.mean(np.abs(np.log(forecast / y)))) for forecast in (ours, theirs)]
    assert pair.errors == pytest.approx(expected, rel=1e-12)
    assert pair.at_most(RATE) < 0
