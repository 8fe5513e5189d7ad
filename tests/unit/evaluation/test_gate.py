"""The gate on the figures of a real model: each rule, what closes it, and how it says so."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from kfp import dsl

from almanac.core.errors import GateError, MetricError, TableError
from almanac.core.files import read_json, write_json
from almanac.evaluation.evaluate import predictions
from almanac.evaluation.gate.decide import decide
from almanac.evaluation.gate.evidence import REGISTERED, Evidence, RegisteredModel, read_evidence
from almanac.evaluation.gate.registered import same_targets, score_registered
from almanac.evaluation.gate.rules.beats_baselines import BeatsBaselines
from almanac.evaluation.gate.rules.coverage import CoverageWithin
from almanac.evaluation.gate.rules.max_bias import MaxBias
from almanac.evaluation.gate.rules.max_disparity import MaxDisparity
from almanac.evaluation.gate.rules.max_error import MaxError
from almanac.evaluation.gate.rules.not_worse_than_registered import NotWorse
from almanac.evaluation.scored_rows import score_rows
from almanac.evaluation.target_metrics import target_metrics
from almanac.model.bundle import load_bundle
from almanac.model.model import load_model
from almanac.usecase import UseCase
from components.gate.component import gate
from tests.support import evaluation_world as world
from tests.support.chosen_targets import with_targets
from tests.support.gate_world import SHORT, Production
from tests.support.use_case_artifact import use_case_artifact

Metrics = dict[str, Any]


@pytest.fixture(scope="module")
def usecase() -> UseCase:
    every = world.usecase()
    return with_targets(every, [every.target("pm25_6h")])


@dataclass(frozen=True)
class Judged:
    """The metrics and the scored rows of a real model, and the validated table with the model's files."""

    metrics: Metrics
    predictions: pl.DataFrame


@pytest.fixture(scope="module")
def judged(usecase: UseCase, beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    directory, table = tmp_path_factory.mktemp("gate") / "pm25_6h", world.features(beijing)
    world.write_model(directory, table, "pm25_6h", usecase)
    scored = score_rows(usecase, table, usecase.targets[0], load_model(directory))
    entry = target_metrics(usecase, scored, "trees")
    return Judged({"use_case": usecase.name, "targets": {"pm25_6h": entry}}, predictions([scored]))


@pytest.fixture
def metrics(judged: Judged) -> Metrics:
    return copy.deepcopy(judged.metrics)


@pytest.fixture
def alone(usecase: UseCase, judged: Judged) -> Evidence:
    """The rows of the first model, beside none."""
    return read_evidence(usecase, judged.predictions)


THIRD = RegisteredModel(3, ("pm25_6h",))


def beside(usecase: UseCase, judged: Judged, error: float = 1.0, days: int = 365) -> Evidence:
    """The rows of some days beside version 3, whose errors are `error` times the judged model's."""
    rows = judged.predictions.head(24 * days)
    theirs = rows["y"] + error * (rows["prediction"] - rows["y"])
    return read_evidence(usecase, rows.with_columns(registered=theirs), THIRD)


def failed(decision: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in decision["rules"] if not rule["passed"]]


def test_a_real_model_that_beats_the_baselines_passes(usecase: UseCase, metrics: Metrics, alone: Evidence) -> None:
    decision = decide(usecase, metrics, alone)
    assert decision["passed"] is True
    assert {rule["rule"] for rule in decision["rules"]} == {rule.rule for rule in usecase.gates} | {"sound"}
    first, skill = decision["rules"][0], metrics["targets"]["pm25_6h"]["skill"]["persistence"]["rmse"]
    assert (first["required"], first["margin"]) == (0.0, first["observed"])
    assert 0 < first["observed"] < first["evidence"]["skill"] == pytest.approx(skill)


def test_every_check_tells_on_which_side_of_its_bound_the_figure_must_lie(
    usecase: UseCase, judged: Judged, metrics: Metrics
) -> None:
    bounds = {rule["rule"]: rule["bound"] for rule in decide(usecase, metrics, beside(usecase, judged))["rules"]}
    assert bounds == {
        "beats_baselines": ">",
        **dict.fromkeys(("not_worse_than_registered", "coverage", "max_disparity", "sound"), "≤"),
    }


def test_a_model_that_repeats_a_baseline_closes(usecase: UseCase, judged: Judged, metrics: Metrics) -> None:
    repeated = judged.predictions.with_columns(prediction=pl.coalesce("last", "prediction"))
    decision = decide(usecase, metrics, read_evidence(usecase, repeated))
    assert decision["passed"] is False
    [rule] = failed(decision)
    assert rule["rule"] == "beats_baselines"
    assert rule["message"] == (
        "beats_baselines, pm25_6h: lower bound of the rmse skill against persistence is 0, must be above 0: "
        "missed by 0 (the skill is 0.0%, and these rows show one of 0.0% in 98.75%; a model without skill passes in "
        "2.5%)"
    )


def test_the_rates_of_all_checks_add_up_to_the_one_that_the_gate_states(
    usecase: UseCase, judged: Judged, metrics: Metrics, alone: Evidence
) -> None:
    for evidence in (alone, beside(usecase, judged)):
        decision = decide(usecase, metrics, evidence)
        rates = [rule["evidence"]["false_refusal_rate"] for rule in decision["rules"] if "evidence" in rule]
        # Every two of the two groups that max_disparity compares can turn out to be the worst and the best.
        pairs = next(r["evidence"]["false_refusal_rate"] for r in decision["rules"] if r["rule"] == "max_disparity")
        assert decision["false_refusals"] == pytest.approx(0.05) == sum(rates) + pairs
    # What one rule declares is taken from the others.
    rules = [BeatsBaselines(rule="beats_baselines"), NotWorse(rule="not_worse_than_registered", false_refusals=0.03)]
    decision = decide(usecase.model_copy(update={"gates": rules}), metrics, beside(usecase, judged))
    rates = [rule["evidence"]["false_refusal_rate"] for rule in decision["rules"] if "evidence" in rule]
    assert rates == pytest.approx([0.01, 0.03, 0.01])
    assert decision["false_refusals"] == pytest.approx(0.05)


def test_a_worse_model_closes_and_the_check_says_by_how_much_on_which_rows(
    usecase: UseCase, judged: Judged, metrics: Metrics
) -> None:
    [rule] = failed(decide(usecase, metrics, beside(usecase, judged, 1 / 1.1)))
    assert (rule["rule"], rule["required"]) == ("not_worse_than_registered", 0.0)
    evidence = rule["evidence"]
    rows = judged.predictions.head(24 * 365)
    assert (evidence["version"], evidence["rows"]) == (3, rows.height)
    error = float(np.sqrt(((rows["prediction"] - rows["y"]) ** 2).mean()))  # type: ignore[arg-type]
    assert evidence["observed"] == pytest.approx(error)
    assert evidence["registered"] == pytest.approx(error / 1.1)
    assert evidence["excess"] == pytest.approx(0.1)
    assert f"beside version 3's on the same {rows.height:,} rows" in rule["figure"].replace("over", "beside")
    assert f"{evidence['detectable_excess']:.1%} worse in 90%" in rule["message"]
    assert decide(usecase, metrics, beside(usecase, judged, 1.1))["passed"] is True


def test_an_equal_model_passes_whatever_the_stored_figures_say(
    usecase: UseCase, judged: Judged, metrics: Metrics
) -> None:
    """The same model on a hard month has a larger error than its own stored one of the year."""
    rows = judged.predictions.filter(pl.col("timestamp").dt.month() == 12)
    hard = read_evidence(usecase, rows.with_columns(registered="prediction"), THIRD)
    checks = {rule["rule"]: rule for rule in decide(usecase, metrics, hard)["rules"]}
    assert checks["not_worse_than_registered"]["evidence"]["observed"] > 1.05 * metrics["targets"]["pm25_6h"]["rmse"]
    assert checks["not_worse_than_registered"]["passed"] is True


def test_a_model_is_not_compared_on_rows_that_the_registered_one_learned_from(
    usecase: UseCase, judged: Judged, metrics: Metrics
) -> None:
    later = pl.when(pl.col("timestamp").dt.month() > 6).then("prediction")
    rows = judged.predictions.with_columns(registered=later)
    checks = decide(usecase, metrics, read_evidence(usecase, rows, THIRD))["rules"]
    [check] = [rule for rule in checks if rule["rule"] == "not_worse_than_registered"]
    assert check["evidence"]["rows"] == rows["registered"].count() < rows.height


def test_without_rows_in_common_the_gate_closes(usecase: UseCase, judged: Judged, metrics: Metrics) -> None:
    few = pl.when(pl.int_range(pl.len()) < 20).then("prediction")
    for forecasts in (few, pl.lit(None, pl.Float64)):
        rows = judged.predictions.with_columns(registered=forecasts)
        [rule] = failed(decide(usecase, metrics, read_evidence(usecase, rows, THIRD)))
        assert rule["rule"] == "not_worse_than_registered"
        assert "is missing or not a finite number, which closes the gate" in rule["message"]


def test_a_target_that_the_registered_model_has_not_is_not_compared(
    usecase: UseCase, judged: Judged, metrics: Metrics
) -> None:
    decision = decide(usecase, metrics, read_evidence(usecase, judged.predictions, RegisteredModel(3, ("other",))))
    assert decision["passed"] is True
    assert "version 3 has no such target" in next(
        rule["message"] for rule in decision["rules"] if rule["rule"] == "not_worse_than_registered"
    )


def moved(judged: Judged, band: str, coverage: float, days: int = 365) -> pl.DataFrame:
    """Return the rows of some days with intervals that cover this share of a band."""
    rows = judged.predictions.head(24 * days)
    last = pl.col("last")
    inside = {"over 150": last > 150, "unknown": last.is_null()}[band]
    # Spread evenly, so that misses do not come in a row.
    number = inside.cum_sum()
    missed = ((number * (1 - coverage)).floor() > ((number - 1) * (1 - coverage)).floor()) & inside
    lower = pl.when(inside).then(pl.when(missed).then(pl.col("y") + 1).otherwise(pl.col("y") - 1))
    return rows.with_columns(
        lower=lower.otherwise("lower"), upper=pl.when(inside).then(pl.col("y") + 2).otherwise("upper")
    )


def covering(metrics: Metrics, rows: pl.DataFrame, band: str) -> Metrics:
    changed = copy.deepcopy(metrics)
    inside = rows.filter(pl.col("last").is_null() if band == "unknown" else pl.col("last") > 150)
    share = inside.select(pl.col("y").is_between("lower", "upper").mean()).item()
    changed["targets"]["pm25_6h"]["coverage"]["bands"][band] = share
    return changed


@pytest.mark.parametrize(("coverage", "passed"), [(0.8, False), (0.88, True), (0.9, True), (0.92, True), (0.97, False)])
def test_coverage_too_far_off_closes_on_either_side(
    usecase: UseCase, judged: Judged, metrics: Metrics, coverage: float, passed: bool
) -> None:
    rows = moved(judged, "over 150", coverage)
    decision = decide(usecase, covering(metrics, rows, "over 150"), read_evidence(usecase, rows))
    assert decision["passed"] is passed
    check = next(rule for rule in decision["rules"] if "in the band over 150" in rule["figure"])
    assert check["observed"] == pytest.approx(abs(coverage - 0.9), abs=0.002)
    assert (check["margin"] >= 0) is passed
    evidence = check["evidence"]
    assert check["required"] == max(0.03, evidence["by_chance"])
    assert evidence["detectable_distance"] > check["required"]
    assert f"chance alone reaches {evidence['by_chance']:.2g} in " in check["message"]


@pytest.mark.parametrize("tied", [False, True])
def test_coverage_that_ties_force_does_not_close(
    usecase: UseCase, judged: Judged, metrics: Metrics, tied: bool
) -> None:
    """A lower end that many values are equal to can leave no twentieth of them below it."""
    inside = pl.col("last") > 150
    missed = (inside.cum_sum() % 25 == 0) & inside
    below, above = (
        pl.when(missed).then(at).otherwise(other) for at, other in ((2.0, 0.0 if tied else 2.0), (-1.0, 1.0))
    )
    rows = judged.predictions.with_columns(
        lower=pl.when(inside).then(pl.col("y") - below).otherwise("lower"),
        upper=pl.when(inside).then(pl.col("y") + above).otherwise("upper"),
    )
    decision = decide(usecase, covering(metrics, rows, "over 150"), read_evidence(usecase, rows))
    check = next(rule for rule in decision["rules"] if "in the band over 150" in rule["figure"])
    assert check["passed"] is tied
    assert check["observed"] == pytest.approx(0.01 if tied else 0.06, abs=0.001)
    assert check["evidence"]["forced"] == pytest.approx(0.05 if tied else 0.0)
    assert ("0.05 of the coverage is forced" in check["message"]) is tied


def test_few_rows_are_given_what_chance_allows(usecase: UseCase, judged: Judged, metrics: Metrics) -> None:
    """The same deviation closes the gate in a year, and not in a fortnight."""
    for days, passed in ((365, False), (14, True)):
        rows = moved(judged, "over 150", 0.8, days)
        decision = decide(usecase, covering(metrics, rows, "over 150"), read_evidence(usecase, rows))
        check = next(rule for rule in decision["rules"] if "in the band over 150" in rule["figure"])
        assert check["passed"] is passed, check["message"]


def test_rows_whose_last_value_is_unknown_are_judged_too(usecase: UseCase, judged: Judged, metrics: Metrics) -> None:
    checks = [rule for rule in decide(usecase, metrics, read_evidence(usecase, judged.predictions))["rules"]
              if rule["rule"] == "coverage"]  # fmt: skip
    banded = [rule["evidence"]["rows"] for rule in checks[1:]]
    assert sum(banded) == checks[0]["evidence"]["rows"] == metrics["targets"]["pm25_6h"]["n"]
    assert checks[-1]["figure"].startswith("distance of the coverage where the last value is unknown")
    rows = moved(judged, "unknown", 0.3)
    [rule] = failed(decide(usecase, covering(metrics, rows, "unknown"), read_evidence(usecase, rows)))
    assert "where the last value is unknown" in rule["figure"]


def test_a_band_without_rows_is_not_judged(usecase: UseCase, judged: Judged, metrics: Metrics) -> None:
    rows = judged.predictions.filter(pl.col("last").is_null() | (pl.col("last") <= 150))
    metrics["targets"]["pm25_6h"]["coverage"]["bands"]["over 150"] = None
    decision = decide(usecase, metrics, read_evidence(usecase, rows))
    check = next(rule for rule in decision["rules"] if "in the band over 150" in rule["figure"])
    assert (check["passed"], check["message"]) == (True, check["message"])
    assert check["message"].endswith("there is no such row")


def of_baselines(usecase: UseCase, metrics: Metrics, evidence: Evidence) -> dict[str, Any]:
    checks: list[dict[str, Any]] = decide(usecase, metrics, evidence)["rules"]
    return next(check for check in checks if check["rule"] == "beats_baselines")


def weeks(judged: Judged) -> list[pl.DataFrame]:
    return [judged.predictions[start : start + 168] for start in range(0, judged.predictions.height - 168, 168)]


def test_rows_too_few_to_show_the_registered_models_skill_refuse_no_equal_model(
    usecase: UseCase, judged: Judged, metrics: Metrics
) -> None:
    """A week may not show it; a year must, and a model that a week shows to be worse is refused."""
    checks = [
        of_baselines(usecase, metrics, read_evidence(usecase, rows.with_columns(registered="prediction"), THIRD))
        for rows in weeks(judged)
    ]
    assert all(check["passed"] for check in checks)
    unshown = [check["message"] for check in checks if "are too few" in check["message"]]
    assert 0 < len(unshown) < len(checks)
    assert "that version 3 has on them" in unshown[0]
    for rows in (weeks(judged)[0], judged.predictions):
        far = rows.with_columns(registered="prediction", prediction=pl.col("prediction") + 500)
        assert of_baselines(usecase, metrics, read_evidence(usecase, far, THIRD))["passed"] is False
    level = judged.predictions.with_columns(registered="prediction", prediction=pl.coalesce("last", "prediction"))
    assert of_baselines(usecase, metrics, read_evidence(usecase, level, THIRD))["passed"] is False


def test_a_first_model_judged_on_few_rows_rests_on_what_it_has_shown_before(
    usecase: UseCase, judged: Judged, metrics: Metrics
) -> None:
    """Only where its skill out of fold is beyond doubt; without it the rows of a month must show it by themselves."""
    few = [read_evidence(usecase, rows) for rows in weeks(judged)]
    alone = [of_baselines(usecase, metrics, evidence)["passed"] for evidence in few]
    assert 0 < sum(alone) < len(alone)

    def before(log_ratio: float) -> Metrics:
        figures = {"rmse": {"log_ratio": log_ratio, "standard_error": 0.02, "periods": 15}}
        names = metrics["targets"]["pm25_6h"]["skill"]
        entry = metrics["targets"]["pm25_6h"] | {"out_of_fold": {"rows": 26000, "skill": dict.fromkeys(names, figures)}}
        return metrics | {"targets": {"pm25_6h": entry}}

    shown = [of_baselines(usecase, before(-0.2), evidence) for evidence in few]
    assert all(check["passed"] for check in shown)
    message = next(check["message"] for check, by_itself in zip(shown, alone, strict=True) if not by_itself)
    assert "168 rows are too few" in message
    assert "they would refuse that of 18.1% that the model has out of fold in more than" in message
    for doubtful in (-0.05, 0.0, 0.2):
        assert [of_baselines(usecase, before(doubtful), evidence)["passed"] for evidence in few] == alone
    level = judged.predictions.with_columns(prediction=pl.coalesce("last", "prediction"))
    assert of_baselines(usecase, before(-0.2), read_evidence(usecase, level))["passed"] is False


def test_a_group_too_far_off_closes(usecase: UseCase, metrics: Metrics, alone: Evidence) -> None:
    entry = metrics["targets"]["pm25_6h"]
    found = entry["disparity"]["wind"]["mae"]
    worst, best = (entry["slices"]["wind"][found[side]] for side in ("worst", "best"))
    for bound, passed in ((found["ratio"] + 0.01, True), (0.5 * found["ratio"], False)):
        rule = MaxDisparity(rule="max_disparity", group="wind", metric="mae", ratio=max(1.0, bound))
        case = usecase.model_copy(update={"gates": [rule]})
        # Groups whose errors are known well: chance adds little.
        for part in (worst, best):
            part["ci"]["mae"] = [0.99 * part["mae"], 1.01 * part["mae"]]
        decision = decide(case, metrics, alone)
        assert decision["passed"] is (passed or found["ratio"] <= decision["rules"][0]["required"])
        assert decision["rules"][0]["required"] == pytest.approx(max(1.0, bound), rel=0.05)
    # The same groups, of few rows.
    worst["ci"]["mae"] = [0.5 * worst["mae"], 2.0 * worst["mae"]]
    assert decide(case, metrics, alone)["passed"] is True


def test_a_group_whose_forecasts_are_too_high_closes(usecase: UseCase, metrics: Metrics, alone: Evidence) -> None:
    part = metrics["targets"]["pm25_6h"]["slices"]["weekend"]["weekend"]
    case = usecase.model_copy(update={"gates": [MaxBias(rule="max_bias", group="weekend", share=0.1)]})
    assert decide(case, metrics, alone)["passed"] is True
    size = part["rmse"]
    for share, width, passed in ((0.08, 0.01, True), (0.3, 0.01, False), (-0.3, 0.01, False), (0.3, 0.3, True)):
        part["bias"], part["ci"]["bias"] = share * size, [(share - width) * size, (share + width) * size]
        decision = decide(case, metrics, alone)
        assert decision["passed"] is passed, (share, width)
        check = next(rule for rule in decision["rules"] if "the weekend weekend" in rule["figure"])
        assert (check["observed"], check["evidence"]["false_refusal_rate"]) == pytest.approx((abs(share), 0.0125))
    part["bias"] = None
    [rule] = failed(decide(case, metrics, alone))
    assert "missing or not a finite number" in rule["message"]
    del metrics["targets"]["pm25_6h"]["slices"]["weekend"]
    assert decide(case, metrics, alone)["passed"] is False


def test_an_error_above_its_bound_closes(usecase: UseCase, metrics: Metrics, alone: Evidence) -> None:
    rmse = metrics["targets"]["pm25_6h"]["rmse"]
    for bound, passed in ((rmse + 0.1, True), (rmse, True), (rmse - 0.1, False)):
        rule = MaxError(rule="max_error", target="pm25_6h", value=bound)
        assert decide(usecase.model_copy(update={"gates": [rule]}), metrics, alone)["passed"] is passed


RULES = {
    "skill": BeatsBaselines(rule="beats_baselines"),
    "rmse": NotWorse(rule="not_worse_than_registered"),
    "coverage": CoverageWithin(rule="coverage"),
    "disparity": MaxDisparity(rule="max_disparity", group="wind", ratio=99.0),
}


@pytest.mark.parametrize("key", list(RULES))
@pytest.mark.parametrize("value", ["absent", None, float("nan"), "0.5", {}, [], True])
def test_a_missing_figure_closes(usecase: UseCase, judged: Judged, metrics: Metrics, key: str, value: Any) -> None:
    case, rows = usecase.model_copy(update={"gates": [RULES[key]]}), beside(usecase, judged)
    assert decide(case, metrics, rows)["passed"] is True
    if value == "absent":
        del metrics["targets"]["pm25_6h"][key]
    else:
        metrics["targets"]["pm25_6h"][key] = value
    decision = decide(case, metrics, rows)
    assert decision["passed"] is False
    assert "missing or not a finite number" in failed(decision)[0]["message"]


def test_a_gate_without_evidence_is_closed(usecase: UseCase, metrics: Metrics, alone: Evidence) -> None:
    assert decide(usecase.model_copy(update={"gates": []}), metrics, alone)["passed"] is False
    assert decide(usecase, {}, alone)["passed"] is False
    assert decide(usecase, {"use_case": usecase.name, "targets": {}}, alone)["passed"] is False
    assert decide(usecase, {**metrics, "use_case": "another"}, alone)["passed"] is False


def test_a_target_that_no_rule_judges_closes(usecase: UseCase, metrics: Metrics, alone: Evidence) -> None:
    every = world.usecase().model_copy(
        update={"gates": [MaxError(rule="max_error", target="pm25_6h", value=999.0)], "targets": usecase.targets}
    )
    assert decide(every, metrics, alone)["passed"] is True
    two = every.model_copy(update={"targets": [*usecase.targets, world.usecase().target("pm25_1h")]})
    [rule] = failed(decide(two, metrics, alone))
    assert rule["message"] == "complete, pm25_1h: no rule judges this target"


def test_a_target_without_scored_rows_closes(usecase: UseCase, judged: Judged, metrics: Metrics) -> None:
    """Whatever its metrics say: nothing of soundness was checked."""
    case = usecase.model_copy(update={"gates": [MaxError(rule="max_error", target="pm25_6h", value=999.0)]})
    nothing = read_evidence(case, judged.predictions.clear())
    assert decide(case, metrics, read_evidence(case, judged.predictions))["passed"] is True
    decision = decide(case, metrics, nothing)
    assert decision["passed"] is False
    [rule] = failed(decision)
    assert rule["message"] == "complete, pm25_6h: there are no scored rows of this target"


@pytest.fixture
def production(usecase: UseCase, beijing: pl.DataFrame, tmp_path: Path) -> Production:
    return Production(usecase, beijing, tmp_path)


def test_a_target_of_another_horizon_is_not_the_same(production: Production) -> None:
    run_directory = production.run("first", SHORT)
    bundle = load_bundle(run_directory / "model")
    moved = production.usecase.targets[0].model_copy(update={"horizon": "7h"})
    case = production.usecase.model_copy(update={"targets": [moved]})
    rows = pl.read_parquet(run_directory / "predictions.parquet")
    assert score_registered(case, production.table, rows, bundle, {})[REGISTERED].is_null().all()
    assert (same_targets(case, bundle), same_targets(production.usecase, bundle)) == ([], ["pm25_6h"])
    assert score_registered(production.usecase, production.table, rows, bundle, {})[REGISTERED].is_null().sum() == 0


def test_what_cannot_be_read_is_an_error(production: Production) -> None:
    run_directory = production.run("first", SHORT)
    for name in ("metrics.json", "predictions.parquet"):
        data = (run_directory / name).read_bytes()
        (run_directory / name).write_text('{"targets": ')
        with pytest.raises(GateError, match=rf"{name}: cannot be read"):
            production.judge(run_directory)
        (run_directory / name).write_bytes(data)
    assert not production.decision.exists()
    production.promote(run_directory)
    production.table.write_text("no table")
    with pytest.raises(TableError, match=r"data\.parquet: not a Parquet table"):
        production.judge(run_directory)
    assert not production.decision.exists()


def test_the_component_returns_a_bool_and_leaves_the_decision(
    usecase: UseCase, judged: Judged, metrics: Metrics, tmp_path: Path
) -> None:
    judged.predictions.write_parquet(tmp_path / "predictions")
    for skill, open_ in ((0.1, True), (None, False)):
        metrics["targets"]["pm25_6h"]["skill"]["persistence"]["rmse"] = skill
        write_json(tmp_path / "figures", metrics)
        told = {"use_case": usecase.name, "use_case_digest": "d", "features_digest": "f", "model_digest": "abc"}
        # On a cluster the metadata of an input hold the store's own keys too.
        stored = {"display_name": "figures", "store_session_info": "{}"}
        made = {name: dsl.Artifact(uri=str(tmp_path / name)) for name in ("decision", "judged")}
        found = gate.python_func(
            usecase=use_case_artifact(usecase, tmp_path),
            figures=dsl.Artifact(uri=str(tmp_path / "figures"), metadata=told | stored),
            predictions=dsl.Dataset(uri=str(tmp_path / "predictions")),
            table=dsl.Dataset(uri=str(tmp_path / "table")),
            registry=str(tmp_path / "registry"),
            **made,
        )
        assert found is open_
        assert [output.metadata for output in made.values()] == [{**told, "passed": open_}] * 2
        assert read_json(tmp_path / "decision")["passed"] is open_


def test_figures_with_a_nan_cannot_even_be_written(metrics: Metrics, tmp_path: Path) -> None:
    metrics["targets"]["pm25_6h"]["rmse"] = float("nan")
    with pytest.raises(MetricError, match="/targets/pm25_6h/rmse is nan"):
        write_json(tmp_path / "metrics.json", metrics)
