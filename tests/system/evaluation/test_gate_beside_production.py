"""The gate beside a model in production that is really registered."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import GateError
from almanac.core.files import read_json
from almanac.evaluation.gate.evidence import REGISTERED
from almanac.usecase import UseCase
from tests.support import evaluation_world as world
from tests.support.chosen_targets import with_targets
from tests.support.gate_world import LONG, SHORT, Production


@pytest.fixture(scope="module")
def usecase() -> UseCase:
    every = world.usecase()
    return with_targets(every, [every.target("pm25_6h")])


def failed(decision: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in decision["rules"] if not rule["passed"]]


@pytest.fixture
def production(usecase: UseCase, beijing: pl.DataFrame, tmp_path: Path) -> Production:
    return Production(usecase, beijing, tmp_path)


def test_the_model_in_production_is_scored_on_the_new_models_rows(production: Production) -> None:
    """Its own specification computes its features, and its forecasts are those of its own evaluation."""
    first, second = production.run("first", SHORT), production.run("second", LONG, 60)
    assert production.judge(first) is True
    assert pl.read_parquet(production.judged).equals(pl.read_parquet(first / "predictions.parquet"))
    production.promote(first)
    assert production.judge(second) is True
    judged, own = pl.read_parquet(production.judged), pl.read_parquet(first / "predictions.parquet")
    assert judged[REGISTERED].equals(own["prediction"].alias(REGISTERED))
    assert judged.drop(REGISTERED).equals(pl.read_parquet(second / "predictions.parquet"))
    check, *sound = read_json(production.decision)["rules"]
    assert {each["rule"] for each in sound} == {"sound"}
    assert check["evidence"]["registered"] == pytest.approx(
        read_json(first / "metrics.json")["targets"]["pm25_6h"]["rmse"]
    )
    assert read_json(production.decision)["registered"] == {"version": 1, "targets": ["pm25_6h"]}


def test_a_model_worse_than_the_one_in_production_is_refused(production: Production) -> None:
    """It forecasts too high by 40 throughout."""
    production.promote(production.run("first", SHORT))
    assert production.judge(production.run("second", SHORT, intercept=40.0)) is False
    [rule] = failed(read_json(production.decision))
    assert rule["evidence"]["excess"] > 0.05
    assert rule["message"].startswith(
        "not_worse_than_registered, pm25_6h: lower bound of the rmse's excess over version 1's on the same 8,655 rows"
    )


def test_rows_that_the_model_in_production_learned_from_are_left_out(production: Production) -> None:
    run_directory = production.run("first", SHORT, learned="2014-06-30T23:00:00")
    production.promote(run_directory)
    production.judge(run_directory)
    times = pl.read_parquet(production.judged).drop_nulls(REGISTERED)["timestamp"]
    assert str(times.min()) == "2014-07-01 00:00:00"


def test_a_model_in_production_without_a_record_of_its_rows_is_an_error(production: Production) -> None:
    run_directory = production.run("first", SHORT)
    production.promote(run_directory, tuning=False)
    with pytest.raises(GateError, match=r"version 1 of air_quality has no tuning\.json"):
        production.judge(run_directory)
