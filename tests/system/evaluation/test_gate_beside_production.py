"""The gate beside a model in production that is really registered."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import GateError
from almanac.core.files import read_json, sha256_file, write_json
from almanac.evaluation.evaluate import predictions
from almanac.evaluation.gate.evidence import REGISTERED
from almanac.evaluation.gate.rules.not_worse_than_registered import NotWorse
from almanac.evaluation.scored_rows import score_rows
from almanac.evaluation.target_metrics import target_metrics
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.features.target import targets
from almanac.model.model import load_model
from almanac.usecase import UseCase
from almanac.usecase.features_section import Features
from components.gate.task import run
from governance.registry import Registry, collect
from tests.support import evaluation_world as world
from tests.support.bundles import document_files
from tests.support.chosen_targets import with_targets


@pytest.fixture(scope="module")
def usecase() -> UseCase:
    every = world.usecase()
    return with_targets(every, [every.target("pm25_6h")])


def failed(decision: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in decision["rules"] if not rule["passed"]]


class Production:
    """Runs of models with a feature specification of their own, beside a registry."""

    def __init__(self, usecase: UseCase, series: pl.DataFrame, directory: Path) -> None:
        self.usecase, self.series, self.directory = usecase, series, directory
        self.registry, self.table = directory / "registry", directory / "data.parquet"
        self.decision, self.judged = directory / "gate.json", directory / "predictions.parquet"
        series.write_parquet(self.table)

    def run(
        self, name: str, lags: list[str], trees: int = 40, learned: str = "2012-12-31T17:00:00", intercept: float = 0.0
    ) -> Path:
        """Train a model on features with these lags, score it on 2014, and return its run directory."""
        folder, target = self.directory / name, self.usecase.targets[0]
        items = [{"kind": "value", "group": "lagged", "columns": ["pm25", "dewp", "iws"]}]
        items += [{"kind": "lag", "group": "lagged", "columns": ["pm25"], "lags": lags}]
        case = self.usecase.model_copy(update={"features": Features.model_validate({"items": items})})
        spec = FeatureSpec.of(case)
        table = pl.concat([compute(spec, self.series), targets(case, spec, self.series)], how="horizontal")
        world.write_model(
            folder / "model" / target.name, table, target.name, case, spec.model_dump(mode="json"), trees, intercept
        )
        files = {
            path.relative_to(folder / "model").as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
            for path in sorted((folder / "model").rglob("*.*"))
        }
        manifest = {"format": 1, "use_case": case.name, "targets": [target.name], "files": files}
        write_json(folder / "model" / "manifest.json", manifest)
        ungrouped = case.model_copy(update={"evaluation": case.evaluation.model_copy(update={"groups": []})})
        scored = score_rows(ungrouped, table, target, load_model(folder / "model" / target.name))
        entry = target_metrics(ungrouped, scored, "trees")
        write_json(folder / "metrics.json", {"use_case": case.name, "targets": {target.name: entry}})
        predictions([scored]).write_parquet(folder / "predictions.parquet")
        tuning = {"targets": {target.name: {"span_trained": ["2010-01-01T00:00:00", learned]}}}
        write_json(folder / "tuning.json", tuning)
        return folder

    def judge(self, run_directory: Path) -> bool:
        inputs = (run_directory / "metrics.json", run_directory / "predictions.parquet", self.table)
        return run(self.usecase, inputs, str(self.registry), self.decision, self.judged)

    def promote(self, run_directory: Path, tuning: bool = True) -> None:
        """Register a run, document it and promote it."""
        names = ["metrics.json", "predictions.parquet", *(["tuning.json"] if tuning else [])]
        write_json(run_directory / "gate.json", {"passed": True, "rules": []})
        files = {name: run_directory / name for name in (*names, "gate.json")} | collect(
            run_directory / "model", "model"
        )
        store = Registry(str(self.registry))
        number = store.register(self.usecase.name, files, who="ann", why="test", approval="none")
        documents = document_files(run_directory, files)
        store.attach_documents(self.usecase.name, number, documents, who="ann", why="test")
        store.promote(self.usecase.name, number, "production", who="ann", why="test")


@pytest.fixture
def production(usecase: UseCase, beijing: pl.DataFrame, tmp_path: Path) -> Production:
    rules = [NotWorse(rule="not_worse_than_registered")]
    return Production(usecase.model_copy(update={"gates": rules}), beijing, tmp_path)


SHORT, LONG = ["1h", "2h"], ["1h", "2h", "3h", "6h", "12h", "24h"]


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
