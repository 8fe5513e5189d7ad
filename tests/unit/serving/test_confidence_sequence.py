"""The comparison of two versions holds however often it is looked at."""

import math

import numpy as np
import pytest

from serving.prediction.confidence_sequence import LEAST, Comparison, MeanSequence

ALPHA = 0.1
RUNS, LENGTH = 150, 600


def looked_at_always(values: np.ndarray) -> tuple[bool, bool]:
    """Whether 0 was ever outside of the confidence sequence, and of an interval that holds at one size only."""
    sequence, ours, ordinary = MeanSequence(ALPHA), False, False
    squares = np.cumsum(values * values)
    for n, value in enumerate(values, 1):
        sequence.add(float(value))
        if n < LEAST:
            continue
        found = sequence.interval
        ours |= found.low > 0 or found.high < 0
        deviation = math.sqrt(squares[n - 1] / n - found.mean**2)
        ordinary |= abs(found.mean) > 1.645 * deviation / math.sqrt(n)
    return ours, ordinary


def test_false_alarms_stay_below_alpha_under_continuous_looking() -> None:
    draw = np.random.default_rng(5)
    # As differences of absolute errors are: skewed, with a heavy tail, and of mean 0.
    runs = [looked_at_always(draw.exponential(1.0, LENGTH) - draw.exponential(1.0, LENGTH)) for _ in range(RUNS)]
    ours, ordinary = (sum(column) / RUNS for column in zip(*runs, strict=True))
    assert ours <= ALPHA
    assert ordinary > 2.5 * ALPHA  # what an interval for one look does


def compare(draw: np.random.Generator, worse: float, shares: list[float], level: np.ndarray) -> Comparison:
    """Two versions whose errors follow `level` in time, the second `worse` times as large, at changing shares."""
    comparison = Comparison(ALPHA, factor=1.05)
    for at, size in enumerate(level):
        second = bool(draw.random() < shares[at * len(shares) // len(level)])
        comparison.add(second, float(draw.exponential(size) * (worse if second else 1.0)))
    return comparison


def test_neither_time_nor_shares_look_like_a_difference() -> None:
    """Errors grow ten times while the new version's share grows: its plain mean is far larger, its verdict is not."""
    draw, level = np.random.default_rng(1), np.linspace(1.0, 10.0, 4000)
    comparisons = [compare(draw, 1.0, [0.05, 0.25, 0.5], level) for _ in range(40)]
    means = np.array([comparison.means for comparison in comparisons]).mean(axis=0)
    assert means[1] > 1.2 * means[0]
    assert sum(comparison.excess.low > 0 for comparison in comparisons) <= 1


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_worse_version_is_found_and_a_better_one_passes(share: float) -> None:
    draw, level = np.random.default_rng(2), np.full(round(1500 / share), 2.0)
    assert compare(draw, 1.5, [share], level).excess.low > 0
    assert compare(draw, 0.8, [share], level).excess.high < 0
    undecided = compare(draw, 1.05, [share], level).excess
    assert undecided.low < 0 < undecided.high


def test_a_sequence_with_a_known_deviation_is_exact_from_the_first_value_on() -> None:
    failures = Comparison(0.05, margin=0.01, deviation=1.0)
    looks = 0
    while failures.excess.low <= 0:
        failures.add(False, 0.0)
        failures.add(True, 1.0)
        looks += 1
    assert 10 < looks < 60  # a version that always fails has tens of requests, not hundreds
    assert MeanSequence(0.05).interval.low == -math.inf
