"""Series that cannot be forecast: whatever a model of them has learned, the baselines keep it out."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from almanac.core.arrays import Array
from almanac.evaluation.gate.evidence import Evidence, JudgedRows
from almanac.evaluation.gate.rules import Candidate
from almanac.evaluation.gate.rules.beats_baselines import KIND, BeatsBaselines
from almanac.evaluation.groups import bands_of
from almanac.evaluation.out_of_fold import OutOfFold, out_of_fold_skill
from almanac.evaluation.paired import clock_of, compare
from almanac.features.baselines import baseline_forecasts
from almanac.usecase import UseCase
from tests.support import evaluation_world as world

TRAINED, FOLDED, N = 1500, 2280, 3000
LAGS = 20
RATE = 0.0125 / 3


def series(kind: str, seed: int) -> Array:
    shocks = np.random.default_rng(seed).normal(size=N)
    if kind == "white noise":
        return shocks
    memory, values = {"random walk": 1.0, "autoregression": 0.6}[kind], np.zeros(N)
    for step in range(1, N):
        values[step] = memory * values[step - 1] + shocks[step]
    return values


def forecast(last: Array, y: Array, fitted: slice, wanted: slice) -> Array:
    """Return the forecast of a linear regression on the last 20 values."""
    lags = np.column_stack([np.ones(N), *(np.roll(last, lag) for lag in range(LAGS))])
    weights = np.linalg.lstsq(lags[fitted][LAGS:], y[fitted][LAGS:], rcond=None)[0]
    return np.asarray(lags[wanted] @ weights)


def passes(usecase: UseCase, kind: str, seed: int, tested: int) -> bool:
    """Return whether a first model passes that is judged on this many rows."""
    target, values = usecase.target("pm25_1h"), series(kind, seed)
    last, y = values[:-1], values[1:]
    last, y = np.r_[last, np.nan], np.r_[y, np.nan]
    time = pl.datetime_range(datetime(2020, 1, 1), interval="1h", closed="left", eager=True, end=datetime(2021, 1, 1))
    table = pl.DataFrame({"timestamp": time.head(N), "y_pm25_1h": y, "last_pm25_1h": last})
    moments = table["timestamp"].to_physical().to_numpy()
    baselines = baseline_forecasts(usecase, table, target, np.arange(N) < FOLDED)
    folded, test = slice(TRAINED, FOLDED), slice(FOLDED, FOLDED + tested)

    unseen = OutOfFold(
        clock_of(usecase, target, moments[folded]),
        y[folded],
        forecast(last, y, slice(0, TRAINED), folded),
        {name: each[folded] for name, each in baselines.items()},
    )
    theirs, made = {name: each[test] for name, each in baselines.items()}, forecast(last, y, slice(0, FOLDED), test)
    clock, nothing = clock_of(usecase, target, moments[test]), np.full(tested, np.nan)
    rows = JudgedRows(clock, y[test], made, nothing, nothing, bands_of(usecase, last[test]), theirs, None)
    skill = {
        name: {"rmse": -np.expm1(compare("rmse", clock, y[test], made, b).log_ratio)} for name, b in theirs.items()
    }
    entry = {"skill": skill, "out_of_fold": out_of_fold_skill(target, unseen)}
    metrics = {"use_case": usecase.name, "targets": {target.name: entry}}
    model = Candidate(usecase, target, metrics, Evidence({target.name: rows}), RATE)
    return all(check.passed for check in KIND.checks(BeatsBaselines(rule="beats_baselines"), model))


@pytest.mark.parametrize("tested", [168, 719])
@pytest.mark.parametrize("kind", ["white noise", "random walk"])
def test_of_twenty_models_without_skill_none_passes(kind: str, tested: int) -> None:
    assert [seed for seed in range(20) if passes(world.usecase(), kind, seed, tested)] == []


@pytest.mark.parametrize("tested", [168, 719])
def test_models_with_skill_pass(tested: int) -> None:
    assert [seed for seed in range(20) if not passes(world.usecase(), "autoregression", seed, tested)] == []
