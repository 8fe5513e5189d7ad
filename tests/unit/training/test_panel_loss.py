"""The median scaled error of a panel, and the rule that chooses by it."""

from typing import Any, cast

import numpy as np
import pytest

from almanac.core.errors import UseCaseError
from almanac.model.target_history import TargetHistory
from almanac.training.choice import Contender, best
from almanac.training.folds import Fold
from almanac.training.panel_loss import median_mase
from almanac.training.problem import Problem
from almanac.usecase.training_section import Choose
from tests.support import panel

HOURS = 100
METERS = ["calm", "usual", "wild", "still"]
#: Error of the seasonal naive forecast of each meter; that of the last is none.
UNITS = np.array([1.0, 4.0, 10.0, 0.0])


def problem() -> Problem:
    """Four meters whose naive forecast is this much too low in every hour."""
    entity = np.repeat(np.array(METERS, dtype=object), HOURS)
    time = np.tile(np.arange(HOURS) * 3_600_000_000, len(METERS))
    y = np.full(time.size, 50.0)
    history = TargetHistory(time, y, 3_600_000_000, entity)
    return Problem(
        target=panel.usecase().targets[0],
        names=["load"],
        X=y[:, None],
        y=y,
        last=y,
        last_name="load",
        baselines={"persistence": y - 99.0, "seasonal": y - np.repeat(UNITS, HOURS)},
        time=time,
        train=time < 80 * 3_600_000_000,
        history=lambda: history,
        steps_ahead=6,
        season_length=24 * 3_600_000_000,
    )


def test_each_entity_has_the_unit_of_its_own_naive_forecast() -> None:
    one = problem()
    rows = np.flatnonzero(one.train & (one.time >= 60 * 3_600_000_000))
    fold = Fold(np.flatnonzero(one.train & (one.time < 50 * 3_600_000_000)), rows)
    # Two points too high everywhere: 2, 0.5 and 0.2 units; the meter that stands still has none.
    assert median_mase(one, [fold], one.y[rows] + 2.0) == pytest.approx(0.5)
    assert median_mase(one, [fold], one.y[rows] - np.repeat(UNITS, 20)) == pytest.approx(1.0)


def test_a_single_series_has_no_median_over_entities() -> None:
    one = problem()
    alone = TargetHistory(one.time[:HOURS], one.y[:HOURS], 3_600_000_000)
    series = Problem(**{**vars(one), "history": lambda: alone})
    rows = np.arange(60, 80)
    assert median_mase(series, [Fold(np.arange(50), rows)], one.y[rows]) is None


def contender(name: str, loss: float, mase: float | None) -> Contender:
    return Contender(name, [loss], loss, np.zeros(1), {name: 1.0}, mase_median=mase)


def test_the_median_error_decides_among_those_that_are_as_good() -> None:
    rule = Choose(tolerance=0.03, then="mase_median", prefer=["a"])
    first, second, far = contender("a", 10.0, 0.9), contender("b", 10.2, 0.8), contender("c", 11.0, 0.1)
    assert best([first, second, far], rule).name == "b"
    assert best([first, second, far], Choose(tolerance=0.0, then="mase_median")).name == "a"
    assert best([contender("a", 10.0, None), contender("b", 10.2, None)], rule).name == "a"


def test_only_a_panel_on_a_grid_has_such_a_rule() -> None:
    training: dict[str, Any] = cast(dict[str, Any], panel.declaration()["training"])
    chosen = {**training, "choose": {"metric": "smape", "then": "mase_median"}}
    assert panel.usecase(training=chosen).training.choose.then == "mase_median"
    with pytest.raises(UseCaseError, match=r"training\.choose\.then: mase_median compares the entities of a grid"):
        panel.usecase(training=chosen, entity=None)
