"""The gate on the figures of a real model: each rule, what closes it, and how it says so."""

import copy
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kfp import dsl

from almanac.core.errors import GateError, MetricError
from almanac.core.files import read_json, write_json
from almanac.evaluation.gate.decide import decide
from almanac.evaluation.gate.rules.beats_baselines import BeatsBaselines
from almanac.evaluation.gate.rules.coverage import CoverageWithin
from almanac.evaluation.gate.rules.max_disparity import MaxDisparity
from almanac.evaluation.gate.rules.max_error import MaxError
from almanac.evaluation.gate.rules.not_worse_than_registered import NotWorse
from almanac.evaluation.scored_rows import score_rows
from almanac.evaluation.target_metrics import target_metrics
from almanac.model.model import load_model
from almanac.usecase import UseCase
from components.gate.component import gate
from components.gate.task import registered_metrics, run
from governance.registry import Registry
from tests.support import evaluation_world as world
from tests.support.bundles import document_files, version_files
from tests.support.use_case_artifact import use_case_artifact

Metrics = dict[str, Any]


@pytest.fixture(scope="module")
def usecase() -> UseCase:
    every = world.usecase()
    return every.model_copy(update={"targets": [every.target("pm25_6h")]})


@pytest.fixture(scope="module")
def judged(usecase: UseCase, beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    directory, table = tmp_path_factory.mktemp("gate") / "pm25_6h", world.features(beijing)
    world.write_model(directory, table, "pm25_6h", usecase)
    entry = target_metrics(usecase, score_rows(usecase, table, usecase.targets[0], load_model(directory)), "trees")
    return {"use_case": usecase.name, "targets": {"pm25_6h": entry}}


@pytest.fixture
def metrics(judged: Metrics) -> Metrics:
    return copy.deepcopy(judged)


def failed(decision: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in decision["rules"] if not rule["passed"]]


def test_a_real_model_that_beats_the_baselines_passes(usecase: UseCase, metrics: Metrics) -> None:
    decision = decide(usecase, metrics, None)
    assert decision["passed"] is True
    assert {rule["rule"] for rule in decision["rules"]} == {rule.rule for rule in usecase.gates}
    low = metrics["targets"]["pm25_6h"]["skill"]["persistence"]["ci"][0]
    first = decision["rules"][0]
    assert (first["observed"], first["required"], first["margin"]) == (low, 0.0, low)


def test_every_check_tells_on_which_side_of_its_bound_the_figure_must_lie(usecase: UseCase, metrics: Metrics) -> None:
    bounds = {rule["rule"]: rule["bound"] for rule in decide(usecase, metrics, metrics)["rules"]}
    assert bounds == {
        "beats_baselines": ">", "not_worse_than_registered": "≤", "coverage": "≤", "max_disparity": "≤"
    }  # fmt: skip


def test_skill_whose_interval_reaches_zero_closes(usecase: UseCase, metrics: Metrics) -> None:
    metrics["targets"]["pm25_6h"]["skill"]["persistence"]["cis"]["rmse"][0] = 0.0
    decision = decide(usecase, metrics, None)
    assert decision["passed"] is False
    [rule] = failed(decision)
    assert rule["rule"] == "beats_baselines"
    assert rule["message"] == (
        "beats_baselines, pm25_6h: lower end of the rmse skill against persistence is 0, must be above 0: missed by 0"
    )


def test_worse_than_the_registered_model_closes_and_says_by_how_much(usecase: UseCase, metrics: Metrics) -> None:
    better = copy.deepcopy(metrics)
    better["targets"]["pm25_6h"]["rmse"] = 50.0
    metrics["targets"]["pm25_6h"]["rmse"] = 52.0
    [rule] = failed(decide(usecase, metrics, better))
    assert rule["rule"] == "not_worse_than_registered"
    assert rule["required"] == pytest.approx(51.0)
    assert rule["margin"] == pytest.approx(-1.0)
    assert rule["message"].endswith("is 52, must be at most 51: missed by 1")
    metrics["targets"]["pm25_6h"]["rmse"] = 50.9
    assert decide(usecase, metrics, better)["passed"] is True


def test_coverage_too_far_off_closes_on_either_side(usecase: UseCase, metrics: Metrics) -> None:
    for coverage in (0.86, 0.94):
        metrics["targets"]["pm25_6h"]["coverage"]["bands"]["over 150"] = coverage
        [rule] = failed(decide(usecase, metrics, None))
        assert "in the band over 150" in rule["figure"]
        assert rule["margin"] == pytest.approx(-0.01)
    metrics["targets"]["pm25_6h"]["coverage"]["bands"]["over 150"] = 0.9
    assert decide(usecase, metrics, None)["passed"] is True


def test_a_group_too_far_off_closes(usecase: UseCase, metrics: Metrics) -> None:
    ratio = metrics["targets"]["pm25_6h"]["disparity"]["wind"]["mae"]["ratio"]
    for bound, passed in ((ratio + 0.01, True), (ratio - 0.01, False)):
        rule = MaxDisparity(rule="max_disparity", group="wind", metric="mae", ratio=bound)
        assert decide(usecase.model_copy(update={"gates": [rule]}), metrics, None)["passed"] is passed


def test_an_error_above_its_bound_closes(usecase: UseCase, metrics: Metrics) -> None:
    rmse = metrics["targets"]["pm25_6h"]["rmse"]
    for bound, passed in ((rmse + 0.1, True), (rmse, True), (rmse - 0.1, False)):
        rule = MaxError(rule="max_error", target="pm25_6h", value=bound)
        assert decide(usecase.model_copy(update={"gates": [rule]}), metrics, None)["passed"] is passed


RULES = {
    "skill": BeatsBaselines(rule="beats_baselines"),
    "rmse": NotWorse(rule="not_worse_than_registered"),
    "coverage": CoverageWithin(rule="coverage"),
    "disparity": MaxDisparity(rule="max_disparity", group="wind", ratio=99.0),
}


@pytest.mark.parametrize("key", list(RULES))
@pytest.mark.parametrize("value", ["absent", None, float("nan"), "0.5", {}, [], True])
def test_a_missing_figure_closes(usecase: UseCase, judged: Metrics, metrics: Metrics, key: str, value: Any) -> None:
    case = usecase.model_copy(update={"gates": [RULES[key]]})
    assert decide(case, metrics, judged)["passed"] is True
    if value == "absent":
        del metrics["targets"]["pm25_6h"][key]
    else:
        metrics["targets"]["pm25_6h"][key] = value
    decision = decide(case, metrics, judged)
    assert decision["passed"] is False
    assert "missing or not a finite number" in failed(decision)[0]["message"]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_figure_of_the_registered_model_that_is_missing_closes(
    usecase: UseCase, judged: Metrics, metrics: Metrics, value: Any
) -> None:
    metrics["targets"]["pm25_6h"]["rmse"] = value
    assert [rule["rule"] for rule in failed(decide(usecase, judged, metrics))] == ["not_worse_than_registered"]
    assert decide(usecase, judged, {"use_case": usecase.name})["passed"] is False


def test_a_gate_without_evidence_is_closed(usecase: UseCase, metrics: Metrics) -> None:
    assert decide(usecase.model_copy(update={"gates": []}), metrics, None)["passed"] is False
    assert decide(usecase, {}, None)["passed"] is False
    assert decide(usecase, {"use_case": usecase.name, "targets": {}}, None)["passed"] is False
    assert decide(usecase, {**metrics, "use_case": "another"}, None)["passed"] is False


def test_a_target_that_no_rule_judges_closes(usecase: UseCase, metrics: Metrics) -> None:
    every = world.usecase().model_copy(
        update={"gates": [MaxError(rule="max_error", target="pm25_6h", value=999.0)], "targets": usecase.targets}
    )
    assert decide(every, metrics, None)["passed"] is True
    two = every.model_copy(update={"targets": [*usecase.targets, world.usecase().target("pm25_1h")]})
    [rule] = failed(decide(two, metrics, None))
    assert rule["message"] == "complete, pm25_1h: no rule judges this target"


def _register(url: Path, directory: Path, metrics: Metrics, usecase: UseCase, with_metrics: bool = True) -> None:
    """Register a documented version and promote it to production."""
    files = version_files(directory, "champion")
    if with_metrics:
        files["metrics.json"] = directory / "metrics.json"
        write_json(files["metrics.json"], metrics)
    registry = Registry(url)
    number = registry.register(usecase.name, files, who="ann", why="test", approval="none")
    documents = document_files(directory / "champion", files)
    registry.attach_documents(usecase.name, number, documents, who="ann", why="test")
    registry.promote(usecase.name, number, "production", who="ann", why="test")


def test_the_model_in_production_is_the_one_to_beat(usecase: UseCase, metrics: Metrics, tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    assert registered_metrics(str(registry), usecase.name) is None
    write_json(tmp_path / "figures.json", metrics)
    decision = tmp_path / "out" / "gate.json"
    assert run(usecase, tmp_path / "figures.json", str(registry), decision) is True
    champion = copy.deepcopy(metrics)
    champion["targets"]["pm25_6h"]["rmse"] *= 0.9
    _register(registry, tmp_path, champion, usecase)
    assert run(usecase, tmp_path / "figures.json", str(registry), decision) is False
    assert [rule["rule"] for rule in failed(read_json(decision))] == ["not_worse_than_registered"]


def test_a_model_in_production_without_figures_is_an_error(usecase: UseCase, metrics: Metrics, tmp_path: Path) -> None:
    _register(tmp_path / "registry", tmp_path, metrics, usecase, with_metrics=False)
    with pytest.raises(GateError, match=r"version 1 of air_quality has no metrics\.json"):
        registered_metrics(str(tmp_path / "registry"), usecase.name)


def test_figures_that_cannot_be_read_are_an_error(usecase: UseCase, tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text('{"targets": ')
    with pytest.raises(GateError, match=r"figures\.json: cannot be read"):
        run(usecase, tmp_path / "figures.json", str(tmp_path / "registry"), tmp_path / "gate.json")
    assert not (tmp_path / "gate.json").exists()


def test_the_component_returns_a_bool_and_leaves_the_decision(
    usecase: UseCase, metrics: Metrics, tmp_path: Path
) -> None:
    for skill, open_ in ((0.1, True), (-0.1, False)):
        metrics["targets"]["pm25_6h"]["skill"]["seasonal"]["cis"]["rmse"][0] = skill
        write_json(tmp_path / "figures", metrics)
        decision = dsl.Artifact(uri=str(tmp_path / "decision"))
        made = {"use_case": usecase.name, "use_case_digest": "d", "features_digest": "f", "model_digest": "abc"}
        # On a cluster the metadata of an input hold the store's own keys too.
        stored = {"display_name": "figures", "store_session_info": "{}"}
        found = gate.python_func(
            usecase=use_case_artifact(usecase, tmp_path),
            figures=dsl.Artifact(uri=str(tmp_path / "figures"), metadata=made | stored),
            registry=str(tmp_path / "registry"),
            decision=decision,
        )
        assert found is open_
        assert decision.metadata == {**made, "passed": open_}
        assert read_json(tmp_path / "decision")["passed"] is open_


def test_figures_with_a_nan_cannot_even_be_written(metrics: Metrics, tmp_path: Path) -> None:
    metrics["targets"]["pm25_6h"]["rmse"] = float("nan")
    with pytest.raises(MetricError, match="/targets/pm25_6h/rmse is nan"):
        write_json(tmp_path / "metrics.json", metrics)
