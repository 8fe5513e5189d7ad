"""Whatever a use case's rules are: a model that says no more than a constant does not pass the gate."""

import numpy as np
import pytest

from almanac.evaluation.gate.evidence import JudgedRows
from almanac.evaluation.gate.soundness import checks
from almanac.evaluation.groups import Slices
from almanac.evaluation.paired import Clock

HOUR = 3_600_000_000
N = 24 * 60


def rows(y: np.ndarray, prediction: np.ndarray) -> JudgedRows:
    """The scored rows of an hourly series."""
    missing = np.full(y.shape, np.nan)
    clock = Clock(np.arange(y.size, dtype=np.int64) * HOUR, HOUR, 1)
    bands = Slices(["all"], np.zeros(y.size, dtype=np.int64))
    return JudgedRows(clock, y, prediction, missing, missing, bands, {}, None)


def failed(y: np.ndarray, prediction: np.ndarray, classification: bool = False) -> list[str]:
    """The metrics of the failed checks."""
    return [each.metric for each in checks("demo", rows(y, prediction), classification, 0.01) if not each.passed]


@pytest.mark.parametrize("seed", range(20))
def test_noise_around_the_mean_is_refused_where_it_is_worse_than_the_mean(seed: int) -> None:
    random = np.random.default_rng(seed)
    y = random.normal(size=N)
    assert failed(y, 0.5 * random.normal(size=N)) == [
        "lower bound of the error's excess over that of the test span's own mean"
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_model_with_skill_passes(seed: int) -> None:
    random = np.random.default_rng(seed)
    signal = np.sin(np.arange(N) / 4)
    assert not failed(signal + 0.3 * random.normal(size=N), signal)


@pytest.mark.parametrize("seed", range(20))
def test_a_probability_that_says_nothing_is_refused(seed: int) -> None:
    random = np.random.default_rng(seed)
    y = (random.random(N) < 0.4).astype(float)
    assert failed(y, random.uniform(0.3, 0.5, N), classification=True) == ["lower end of the AUC"]
    assert not failed(y, 0.3 + 0.3 * y + 0.2 * random.random(N), classification=True)


def test_one_value_one_class_and_too_few_rows_are_refused() -> None:
    y = np.ones(N)
    assert failed(y, y) == ["number of distinct values in the test span"]
    assert failed(y, y, classification=True) == ["number of classes in the test span"]
    few = np.arange(20.0)
    assert failed(few, few) == ["number of scored rows"]


def test_the_check_states_r2() -> None:
    y = np.tile([0.0, 1.0], N // 2)
    *_, check = checks("demo", rows(y, np.full(N, 0.5) + 0.25 * (2 * y - 1)), False, 0.01)
    assert check.note == "R² is 0.75; one of 0 is refused in 1.00%"
