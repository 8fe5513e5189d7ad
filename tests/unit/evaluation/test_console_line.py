"""The line of the console with the leading error of each target."""

from typing import Any

from almanac.evaluation.evaluate import leading_errors


def _entry(horizon: str, metric: str = "rmse") -> dict[str, Any]:
    return {"horizon": horizon, "headline": {"metric": metric}, metric: 1.25}


def test_targets_are_told_apart_by_horizon_or_name() -> None:
    assert leading_errors({"targets": {"pm_1h": _entry("1h"), "pm_6h": _entry("6h")}}) == "1h RMSE 1.25, 6h RMSE 1.25"
    shared = {"targets": {"cpu_mean": _entry("1h"), "cpu_max": _entry("1h", "mae_log")}}
    assert leading_errors(shared) == "cpu_mean RMSE 1.25, cpu_max MAE of log 1.25"
