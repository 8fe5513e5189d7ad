"""The drift component against a really trained version in production: what it predicts, misses and leans on."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kfp import dsl

from almanac.drift.outputs import SIGNALS, OutputDrift
from almanac.usecase import UseCase
from components.drift.component import drift as component
from monitoring.windows.detect import NOTHING_REGISTERED, detect
from tests.support.production import Production
from tests.support.use_case_artifact import use_case_artifact

TARGET = "pm25_6h"
LATE = pl.col("timestamp") >= datetime(2014, 12, 1)


def _changed(production: Production, folder: Path, **columns: pl.Expr) -> Path:
    """The table with columns changed in December."""
    changed = (pl.when(LATE).then(value).otherwise(pl.col(name)).alias(name) for name, value in columns.items())
    pl.read_parquet(production.table).with_columns(*changed).write_parquet(folder / "table.parquet")
    return folder / "table.parquet"


def _counting(case: UseCase, *signals: str) -> UseCase:
    return case.model_copy(update={"drift": case.drift.model_copy(update={"signals": list(signals)})})


def _call(case: UseCase, table: Path, registry: str, out: Path) -> tuple[bool, dict[str, Any], str]:
    found, report = dsl.Artifact(uri=str(out / "drift.json")), dsl.HTML(uri=str(out / "drift.html"))
    decision = component.python_func(use_case_artifact(case, out), dsl.Dataset(uri=str(table)), registry, found, report)
    return decision, json.loads(Path(found.path).read_text()), Path(report.path).read_text()


def test_the_real_series_is_quiet_and_everything_is_judged(production: Production, tmp_path: Path) -> None:
    decision, document, page = _call(production.case, production.table, production.registry, tmp_path)
    assert decision is document["drifted"] is False
    assert document["against"] == "registry:air_quality/1"
    assert document["drifted_outputs"] == []
    found = document["outputs"][TARGET]
    assert all(found[signal]["judged"] for signal in SIGNALS)
    assert found["prediction"]["rows"] == 720
    december = pl.read_parquet(production.table).filter(pl.col("timestamp") >= datetime(2014, 12, 2))
    assert found["residual"]["rows"] == found["target"]["rows"] == december["pm25"].is_not_null().sum()
    assert found["importance"]["ndcg"] > found["importance"]["least"] > 0.9
    assert page.count("<svg") == len(production.case.columns) + len(SIGNALS)
    assert "Model outputs" in page


def test_before_a_version_is_in_production_it_is_said_plainly(production: Production, tmp_path: Path) -> None:
    registry = str(tmp_path / "registry")
    decision, document, page = _call(production.case, production.table, registry, tmp_path)
    assert decision is False
    assert document["against"] == "training span"
    assert document["outputs"] == {TARGET: {"judged": False, "why": NOTHING_REGISTERED}}
    assert "Not judged: no registered model." in page


def test_a_version_of_an_earlier_release_is_compared_by_its_columns(earlier: Production, tmp_path: Path) -> None:
    decision, document, page = _call(earlier.case, earlier.table, earlier.registry, tmp_path)
    assert decision is False
    assert document["against"] == "registry:air_quality/1"
    assert {feature["name"] for feature in document["features"]} == set(earlier.case.columns)
    why = "version 1 froze no reference of its outputs, as it is of an earlier release; train again"
    assert document["outputs"] == {TARGET: {"judged": False, "why": why}}
    assert why in page


def test_what_counts_decides(production: Production, tmp_path: Path) -> None:
    """Readings in any order: their distribution is that of before, and the forecasts are worthless."""
    table = _changed(production, tmp_path, pm25=pl.col("pm25").shuffle(seed=3))
    outcomes = {
        signal: detect(_counting(production.case, signal), table, production.registry)
        for signal in ("columns", "residual", "coverage")
    }
    assert all((TARGET, "residual") in outcome.drifted_outputs for outcome in outcomes.values())
    assert all(outcome.comparison.drifted for outcome in outcomes.values())
    assert {signal: outcome.drifted for signal, outcome in outcomes.items()} == {
        "columns": True,
        "residual": True,
        "coverage": False,
    }


def test_what_does_not_count_gives_its_part_of_the_chance_to_the_rest(production: Production) -> None:
    def threshold(case: UseCase) -> float:
        found = detect(case, production.table, production.registry)
        temp = next(feature for feature in found.comparison.features if feature.name == "temp")
        return temp.judgements["ks"].threshold

    assert threshold(_counting(production.case, "columns")) < threshold(production.case)


def test_a_window_whose_truth_is_all_missing(production: Production, tmp_path: Path) -> None:
    late = pl.col("timestamp") >= datetime(2014, 11, 25)
    table = pl.read_parquet(production.table).with_columns(pm25=pl.when(late).then(None).otherwise("pm25"))
    table.write_parquet(tmp_path / "table.parquet")
    outcome = detect(production.case, tmp_path / "table.parquet", production.registry)
    found = outcome.outputs[TARGET]
    assert isinstance(found, OutputDrift)
    assert found.unjudged["target"].startswith("the truth of 0 of 720 predictions that fell due is known")
    assert found.feature("prediction") is not None
    assert "importance" in found.drifted  # what the model leant on most is gone
    assert outcome.drifted
    assert any(f.column == "pm25" and f.severity == "broken" for f in outcome.comparison.findings)


@pytest.mark.parametrize("column", ["pres", "pm25"])
def test_a_table_without_a_column_that_the_model_needs(production: Production, tmp_path: Path, column: str) -> None:
    pl.read_parquet(production.table).drop(column).write_parquet(tmp_path / "table.parquet")
    outcome = detect(production.case, tmp_path / "table.parquet", production.registry)
    why = outcome.outputs[TARGET]
    assert isinstance(why, str)
    assert column in why
    assert outcome.drifted


def test_a_target_that_the_version_does_not_have(production: Production) -> None:
    target = production.case.targets[0].model_copy(update={"name": "pm25_3h", "horizon": "3h"})
    case = production.case.model_copy(update={"targets": [*production.case.targets, target]})
    outcome = detect(case, production.table, production.registry)
    assert outcome.outputs["pm25_3h"] == "version 1 has no such target"
    assert isinstance(outcome.outputs[TARGET], OutputDrift)


def test_a_feature_table_is_compared_by_its_columns_alone(production: Production) -> None:
    outcome = detect(production.case, production.features, production.registry)
    assert isinstance(outcome.outputs[TARGET], str)
    assert "pm25_mean_24h" in {feature.name for feature in outcome.comparison.features}
