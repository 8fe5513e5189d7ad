"""Rows too few to show that the registered model is better than chance refuse no equal model."""

from dataclasses import replace

import numpy as np

from almanac.evaluation.gate.evidence import JudgedRows
from almanac.evaluation.gate.soundness import checks
from almanac.evaluation.groups import Slices
from almanac.evaluation.paired import Clock

HOUR = 3_600_000_000


def rows(y: np.ndarray, prediction: np.ndarray) -> JudgedRows:
    """The scored rows of an hourly series."""
    missing = np.full(y.shape, np.nan)
    clock = Clock(np.arange(y.size, dtype=np.int64) * HOUR, HOUR, 1)
    bands = Slices(["all"], np.zeros(y.size, dtype=np.int64))
    return JudgedRows(clock, y, prediction, missing, missing, bands, {}, None)


def test_rows_too_few_to_show_the_registered_probability_refuse_no_equal_one() -> None:
    """A week of games does not show an AUC of 0.6; a season does, and says nothing of a model that turns it around."""
    shown = {"week": 0, "season": 0}
    for seed in range(20):
        random = np.random.default_rng(seed)
        for name, count in (("week", 90), ("season", 4000)):
            y = (random.random(count) < 0.5).astype(float)
            ours, theirs = (np.clip(0.5 + 0.04 * (y - 0.5) + 0.1 * random.normal(size=count), 0, 1) for _ in range(2))
            beside = replace(rows(y, ours), registered=theirs)
            *_, check = checks("demo", beside, True, 0.005)
            assert check.passed
            shown[name] += check.vacuous is None
            # A season refutes it, a week may not.
            *_, turned = checks("demo", replace(rows(y, 1 - ours), registered=theirs), True, 0.005)
            assert name == "week" or not turned.passed
    assert shown["week"] < shown["season"] == 20
