"""Candidates and losses on the scale of logarithms, and the metrics of a panel."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.errors import TrainingError
from almanac.core.files import pretty_json
from almanac.evaluation.scored_rows import read_table, score_rows
from almanac.evaluation.target_metrics import target_metrics
from almanac.model.model import load_model
from almanac.training.losses import loss
from almanac.training.train import Inputs, train
from almanac.usecase import UseCase, load_text
from tests.support import panel

FEATURES: dict[str, Any] = {
    "items": [
        {"kind": "value", "group": "lagged", "columns": ["load"]},
        {"kind": "transform", "group": "scale", "name": "load_log", "function": "log", "feature": "load"},
        {
            **{"kind": "seasonal", "group": "lagged", "columns": ["load"], "period": "24h", "counts": [1]},
            **{"statistics": ["mean"], "ahead": "6h"},
        },
        {
            **{"kind": "transform", "group": "scale", "name": "load_naive", "function": "log"},
            "feature": "load_season_mean_24h_1",
        },
    ]
}
TARGET = {"name": "load_6h", "column": "load", "horizon": "6h", "scale": "log"}
NAIVE = {"name": "naive", "kind": "feature", "feature": "{column}_naive"}
TREES = {"name": "trees", "kind": "lightgbm", "predict": "difference", "fixed": {"n_estimators": 10}}


def _case(*candidates: dict[str, Any], **changes: Any) -> UseCase:
    features = changes.pop("features", FEATURES)
    case = panel.declaration(*candidates, features=features, targets=[TARGET], **changes)
    case["training"]["choose"] = {"metric": "smape"}
    return load_text(pretty_json(case), "meters")


def _train(case: UseCase, directory: Path) -> tuple[dict[str, Any], Inputs]:
    files = panel.inputs(case, panel.table(), directory)
    record = train(case, files, directory / "model", directory / "tuning.json", progress=lambda *_: None)
    return record, files


def test_the_loss_of_logarithms_is_that_of_the_values() -> None:
    generator = np.random.default_rng(1)
    y, forecast = generator.lognormal(1, 2, (2, 500))
    share = np.mean(2 * np.abs(forecast - y) / (y + forecast))
    assert loss("smape")(y, forecast, False) == pytest.approx(share, rel=1e-12)
    assert loss("smape", "log")(np.log(y), np.log(forecast), False) == pytest.approx(share, rel=1e-12)
    assert loss("smape")(np.zeros(2), np.zeros(2), False) == 0.0


def test_a_panel_is_measured_by_the_median_of_its_entities(tmp_path: Path) -> None:
    case = _case(NAIVE, TREES, panel.ETS)
    record, files = _train(case, tmp_path)
    candidates = record["targets"]["load_6h"]["candidates"]
    # All learn the same scale, and meters of such a season are forecast to a few percent by each.
    assert all(candidate["loss"] < 0.2 for candidate in candidates.values())
    model = load_model(tmp_path / "model" / "load_6h")
    table = read_table(files.features, case)
    scored = score_rows(case, table, case.targets[0], model)
    entry = target_metrics(case, scored, "any")
    # By hand, from the table alone.
    truth = panel.table().rename({"load": "y"})
    day_ago = truth.with_columns(pl.col("timestamp") + pl.duration(hours=24)).rename({"y": "naive"})
    both = truth.join(day_ago, on=["meter", "timestamp"]).drop_nulls()
    start = pl.datetime(2020, 5, 1)
    # A row is dated by its prediction time, six hours before the value.
    ahead = pl.col("timestamp") - pl.duration(hours=6)
    # The naive forecast is the truth of the row a day before, and the first day has none.
    first = pl.lit(panel.FIRST) + pl.duration(hours=24)
    error = (pl.col("y") - pl.col("naive")).abs()
    unit = both.filter(ahead >= first, ahead < start).group_by("meter").agg(error.mean().alias("unit"))
    test = both.filter(ahead >= start).join(unit, on="meter")
    expected = test.group_by("meter").agg((error / pl.col("unit")).mean().alias("mase"))["mase"].median()
    share = test.select((2 * error / (pl.col("y") + pl.col("naive"))).mean()).item()
    naive = entry["baselines"]["seasonal"]
    assert naive["mase_median"] == pytest.approx(expected, rel=1e-9)
    assert naive["smape"] == pytest.approx(share, rel=1e-9)
    assert entry["smape"] < naive["smape"] and entry["mase_median"] < naive["mase_median"]


def test_a_feature_is_a_forecast_in_the_unit_of_its_column(tmp_path: Path) -> None:
    case = _case(NAIVE)
    _, files = _train(case, tmp_path)
    table = read_table(files.features, case)
    scored = score_rows(case, table, case.targets[0], load_model(tmp_path / "model" / "load_6h"))
    known = np.isfinite(scored.baselines["seasonal"])
    assert scored.prediction[known] == pytest.approx(scored.baselines["seasonal"][known], rel=1e-12)


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ({**NAIVE, "feature": "{column}_other"}, "candidate naive: there is no feature load_other"),
        (TREES, "candidate trees: a difference on scale log needs the feature load_log"),
    ],
)
def test_a_missing_logarithm_is_named(candidate: dict[str, Any], message: str, tmp_path: Path) -> None:
    case = _case(candidate, features={"items": FEATURES["items"][:1]})
    with pytest.raises(TrainingError, match=message):
        _train(case, tmp_path)


def test_smoothing_of_logarithms_predicts_values(tmp_path: Path) -> None:
    case = _case(panel.ETS)
    _, files = _train(case, tmp_path)
    model = load_model(tmp_path / "model" / "load_6h")
    scored = score_rows(case, read_table(files.features, case), case.targets[0], model)
    assert scored.prediction.min() > 1.0 and scored.prediction.max() < 100.0
    assert target_metrics(case, scored, "smoothing")["smape"] < 0.1
