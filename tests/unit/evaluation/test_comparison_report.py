"""The comparison with the baselines: tables that fit the page, however many targets there are."""

from typing import Any

import pytest

from almanac.evaluation.comparison_report import comparison
from almanac.evaluation.metrics import leading_error
from almanac.evaluation.plots.errors import overview
from almanac.reports import Table
from almanac.usecase.training_section import Target


def _entry(hours: int, task: str) -> dict[str, Any]:
    first, second = ("rmse", "mae") if task == "regression" else ("log_loss", "brier")
    return {
        "column": "load",
        "horizon": f"{hours}h",
        "task": task,
        "unit": "MW",
        first: 1.0,
        second: 0.8,
        "ci": {first: [0.9, 1.1], second: None},
        "baselines": {"persistence": {first: 2.0, second: 1.6}},
        "skill": {"persistence": {first: 0.5, second: 0.5, "ci": [0.4, 0.6], "cis": {first: [0.4, 0.6]}}},
        "headline": {"baseline": "persistence", "metric": first, "skill": 0.5, "ci": [0.4, 0.6]},
    }


@pytest.mark.parametrize(("count", "widths"), [(1, [1]), (3, [3]), (4, [2, 2]), (8, [3, 3, 2]), (9, [3, 3, 3])])
def test_tables_hold_three_targets_at_most_and_about_as_many_each(count: int, widths: list[int]) -> None:
    targets = {f"load_{hours}h": _entry(hours, "regression") for hours in range(1, count + 1)}
    tables = [block for block in comparison(targets, False) if isinstance(block, Table)]
    headers = [list(table.header) for table in tables]
    assert [len(header) - 1 for header in headers] == widths
    assert [name for header in headers for name in header[1:]] == [f"{name} (MW)" for name in targets]
    for table, width in zip(tables, widths, strict=True):
        rows = {str(row[0]): list(row[1:]) for row in table.rows}
        assert rows["Skill against persistence"] == ["50.0% [40.0, 60.0]"] * width


def test_a_baseline_that_fails_leaves_the_other_bars_to_be_seen() -> None:
    entry = _entry(24, "regression")
    entry["baselines"]["mean"] = {"rmse": 1234.0, "mae": 1000.0}
    axis = overview({"load_24h": entry}).axes[0]
    assert max(bar.get_height() for bar in axis.patches) == 8.0 and axis.get_ylim()[1] < 10.0
    assert "1.23e+03 ↑" in [text.get_text() for text in axis.texts]


def test_each_task_has_tables_of_its_own() -> None:
    targets = {f"load_{at}": _entry(at, task) for at, task in enumerate(["regression", "classification"] * 2)}
    tables = [block for block in comparison(targets, False) if isinstance(block, Table)]
    names = [[name.partition(" ")[0] for name in table.header[1:]] for table in tables]
    assert names == [["load_1", "load_3"], ["load_0", "load_2"]]


def test_a_price_is_compared_by_its_logarithm() -> None:
    price = _entry(24, "regression")
    price |= {"mae_log": 0.25, "ci": {**price["ci"], "mae_log": [0.2, 0.3]}}
    price["baselines"]["persistence"]["mae_log"] = 0.5
    price["skill"]["persistence"] |= {"mae_log": 0.5, "cis": {"rmse": [-0.1, 0.6], "mae_log": [0.4, 0.6]}}
    price["headline"]["metric"] = "mae_log"
    (table,) = (block for block in comparison({"price": price}, True) if isinstance(block, Table))
    rows = {str(row[0]): list(row[1:]) for row in table.rows}
    assert rows["MAE of log of persistence"] == ["0.500"]
    assert rows["Skill against persistence"] == ["50.0% [40.0, 60.0]"]


def test_signals_make_a_price_of_a_target() -> None:
    """An error in dollars says how dear the dearest lots were."""
    plain = {"name": "price", "column": "price", "horizon": "24h", "scale": "log"}
    signals = {"price": "asked", "buy_below": 0.75, "sell_above": 1.35, "fee": 0.1}
    assert leading_error(Target.model_validate(plain)) == "rmse"
    assert leading_error(Target.model_validate({**plain, "signals": signals})) == "mae_log"
