"""Training as a whole, on real data with small trees."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest

from almanac.core.errors import TableError, TrainingError
from almanac.core.files import read_json
from almanac.drift.error_estimation import read_loss
from almanac.drift.outputs import read_outputs
from almanac.features.baselines import naive_names
from almanac.model.model import load_model
from almanac.training.blending import weigh
from almanac.training.choice import Contender, best
from almanac.training.dataset import make_problem, read_features
from almanac.training.folds import make_folds
from almanac.training.train import Inputs, train
from almanac.usecase import UseCase
from almanac.usecase.training_section import Choose
from tests.support.training_world import BLEND, DIFFERENCE, HIST, LEVEL, RIDGE, TARGET, inputs, usecase

Lines = list[tuple[int, int, str]]


def run(case: UseCase, files: Inputs, out: Path, lines: Lines | None = None) -> dict[str, Any]:
    told: Lines = [] if lines is None else lines
    return train(case, files, out / "model", out / "tuning.json", progress=lambda *line: told.append(line))


@pytest.fixture(scope="module")
def world(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[UseCase, Inputs, Path, Lines]:
    """A trained blend of two horizons."""
    base = tmp_path_factory.mktemp("training")
    case = usecase(
        LEVEL,
        DIFFERENCE,
        HIST,
        RIDGE,
        BLEND,
        targets=[TARGET, {"name": "pm25_1h", "column": "pm25", "horizon": "1h"}],
        choose={"metric": "rmse", "prefer": ["blend"], "tolerance": 0.2},
    )
    lines: Lines = []
    files = inputs(case, beijing, base / "in")
    run(case, files, base / "out", lines)
    return case, files, base / "out", lines


def test_two_runs_give_the_same_bytes_however_many_fits_run_at_once(
    world: tuple[UseCase, Inputs, Path, Lines], tmp_path: Path
) -> None:
    case, files, out, _ = world
    again = case.model_copy(update={"training": case.training.model_copy(update={"threads": 1})})
    run(again, files, tmp_path)
    names = sorted(p.relative_to(out / "model") for p in (out / "model").rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path / "model") for p in (tmp_path / "model").rglob("*") if p.is_file())
    for name in names:
        if name.name != "manifest.json":  # it holds the use case's digest, and threads differ
            assert (out / "model" / name).read_bytes() == (tmp_path / "model" / name).read_bytes(), name
    mine, other = (read_json(each / "model" / "manifest.json")["files"] for each in (out, tmp_path))
    assert {k: v for k, v in mine.items() if "manifest" not in k} == {
        k: v for k, v in other.items() if "manifest" not in k
    }
    assert (out / "tuning.json").read_bytes() == (tmp_path / "tuning.json").read_bytes()


def test_no_call_of_lightgbm_leaves_the_number_of_threads_open(
    world: tuple[UseCase, Inputs, Path, Lines], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one number for the process: left open, it changes under a fit in another thread, which then crashes."""
    case, files, _, _ = world
    seen: list[Any] = []
    predict, construct = lightgbm.Booster.predict, lightgbm.Dataset.construct

    def predicted(self: Any, *given: Any, **named: Any) -> Any:
        seen.append(named.get("num_threads"))
        return predict(self, *given, **named)

    def constructed(self: Any) -> Any:
        seen.append((self.params or {}).get("num_threads"))
        return construct(self)

    monkeypatch.setattr(lightgbm.Booster, "predict", predicted)
    monkeypatch.setattr(lightgbm.Dataset, "construct", constructed)
    run(case, files, tmp_path)
    assert len(seen) > 50
    assert set(seen) == {1}


def test_the_stored_model_predicts_what_was_compared(world: tuple[UseCase, Inputs, Path, Lines]) -> None:
    case, files, out, _ = world
    record = read_json(out / "tuning.json")
    table = read_features(case, files.features)
    for target in case.targets:
        model = load_model(out / "model" / target.name)
        problem = make_problem(case, table, model.names, target)
        assert record["targets"][target.name]["chosen"] == "blend"
        assert model.predictor.kind == "lightgbm"
        rows = np.flatnonzero(~problem.train & np.isfinite(problem.y) & np.isfinite(problem.last))
        predicted = model.predict(problem.X[rows])
        prediction = predicted.prediction
        error = np.sqrt(np.mean((prediction - problem.y[rows]) ** 2))
        assert error < np.sqrt(np.mean((problem.last[rows] - problem.y[rows]) ** 2))
        assert predicted.lower is not None
        assert predicted.upper is not None
        covered = (problem.y[rows] >= predicted.lower) & (problem.y[rows] <= predicted.upper)
        assert 0.8 < covered.mean() < 0.98


def test_the_record_tells_the_table_and_the_span_that_were_learned_from(
    world: tuple[UseCase, Inputs, Path, Lines],
) -> None:
    case, files, out, _ = world
    record, data = read_json(out / "tuning.json"), pl.read_parquet(files.table)
    time = data[case.time.column]
    assert record["table"]["sha256"] == read_json(out / "model" / "manifest.json")["data_digest"]
    assert (record["table"]["rows"], record["table"]["from"]) == (data.height, time.min().isoformat())  # type: ignore[union-attr]
    shares = {name: entry["missing"] for name, entry in record["table"]["columns"].items()}
    assert shares == {name: data[name].is_null().mean() for name in case.columns}
    assert shares["pm25"] > 0
    for found in record["targets"].values():
        first, last = found["span_trained"]
        assert first <= found["folds"][0]["train"]["from"]
        assert found["folds"][-1]["valid"]["to"] <= last < str(case.split.test_from)


def test_every_contender_is_compared_on_the_same_rows_with_the_baselines(
    world: tuple[UseCase, Inputs, Path, Lines],
) -> None:
    case, _, out, _ = world
    for target in case.targets:
        found = read_json(out / "tuning.json")["targets"][target.name]
        assert set(found["candidates"]) == {"level", "difference", "hist", "ridge", "blend"}
        assert set(found["baselines"]) == set(naive_names(case, target))
        least = min(found["candidates"].values(), key=lambda each: each["loss"])["loss"]
        if found["loss"] > least:
            assert found["rule"].startswith("training.choose prefers ")
        else:
            assert found["rule"] == "the smallest mean rmse over the folds, each weighted by its training rows"
        assert all(np.isfinite(each["bias"]) for each in found["candidates"].values())
        assert all(len(each["folds"]) == 2 for each in found["candidates"].values())
        assert found["loss"] < found["baselines"]["persistence"]["loss"]
        assert found["rows_compared"] <= sum(fold["valid"]["rows"] for fold in found["folds"])
        assert sum(found["weights"].values()) == pytest.approx(1.0)


def test_out_of_fold_predictions_are_kept_with_the_model(world: tuple[UseCase, Inputs, Path, Lines]) -> None:
    case, _, out, _ = world
    frame = pl.read_parquet(out / "model" / "oof.parquet")
    # Monitoring expects the coverage that these ends have.
    inside = frame.filter(pl.col("y").is_finite()).select(pl.col("y").is_between("lower", "upper").mean()).item()
    assert 0.85 < inside < 0.95
    assert frame.columns == ["timestamp", "target", "fold", "y", "prediction", "last", "lower", "upper"]
    assert set(frame["target"]) == {target.name for target in case.targets}
    assert frame["timestamp"].max() < pl.Series([case.split.test_from]).cast(pl.Datetime("us"))[0]
    assert "oof.parquet" in read_json(out / "model" / "manifest.json")["files"]


def test_the_outputs_that_are_frozen_are_out_of_fold(world: tuple[UseCase, Inputs, Path, Lines]) -> None:
    case, _, out, _ = world
    unseen = pl.read_parquet(out / "model" / "oof.parquet")
    for target in case.targets:
        found = read_outputs(out / "model" / target.name / "reference.json")
        assert found is not None
        rows = unseen.filter(pl.col("target") == target.name)
        assert found.profile.rows == rows.height
        first, last = (int(rows["timestamp"].to_physical().min()), int(rows["timestamp"].to_physical().max()))  # type: ignore[arg-type]
        assert found.profile.span == (first, last)
        residual = (rows["y"] - rows["prediction"]).to_numpy()
        counted = found.profile.features["residual"]
        assert counted.layout is not None
        assert (counted.layout.low, counted.layout.high) == (residual.min(), residual.max())
        assert found.importances is not None
        assert found.importances.names == tuple(load_model(out / "model" / target.name).names)
        leading = found.importances.sizes.sum(axis=0).argmax()
        assert found.importances.names[leading].startswith("pm25")


def test_a_model_of_the_errors_is_frozen_as_data(world: tuple[UseCase, Inputs, Path, Lines]) -> None:
    case, files, out, _ = world
    unseen = pl.read_parquet(out / "model" / "oof.parquet")
    for target in case.targets:
        directory = out / "model" / target.name
        model = load_model(directory)
        assert "loss.json" in model.directory.files
        assert [path.name for path in directory.iterdir() if path.suffix in (".bst", ".txt")] == ["model.bst"]
        loss = read_loss(directory / "loss.json")
        assert list(loss.names) == model.names
        residual = unseen.filter(pl.col("target") == target.name).select(pl.col("y") - pl.col("prediction"))["y"]
        assert loss.reference_mae == pytest.approx(residual.abs().mean(), rel=0.1)
        problem = make_problem(case, read_features(case, files.features), model.names, target)
        rows = np.flatnonzero(~problem.train & np.isfinite(problem.y))
        realised = float(np.abs(model.predict(problem.X[rows]).prediction - problem.y[rows]).mean())
        assert loss.estimate(problem.X[rows]).mae == pytest.approx(realised, rel=0.35)


def test_too_few_errors_leave_no_model_of_them(beijing: pl.DataFrame, tmp_path: Path) -> None:
    case = usecase(RIDGE, folds={"count": 2, "length": "8d"}, budget={"trials": 1, "seconds": 600})
    run(case, inputs(case, beijing, tmp_path / "in"), tmp_path)
    directory = tmp_path / "model" / "pm25_6h"
    assert "loss.json" not in load_model(directory).directory.files
    assert not (directory / "loss.json").exists()
    assert read_outputs(directory / "reference.json") is not None


def test_progress_counts_every_trial(world: tuple[UseCase, Inputs, Path, Lines]) -> None:
    *_, lines = world
    assert [done for done, _, _ in lines] == list(range(1, len(lines) + 1))
    assert {total for _, total, _ in lines} == {len(lines)} == {2 * (2 + 2 + 1 + 1)}
    assert any("pm25_6h difference trial 2/2: rmse" in text for _, _, text in lines)


def test_the_model_directory_says_what_goes_in_and_out(world: tuple[UseCase, Inputs, Path, Lines]) -> None:
    case, files, out, _ = world
    model = load_model(out / "model" / "pm25_6h")
    signature = model.signature
    assert [each["name"] for each in signature["inputs"]] == ["timestamp", *case.columns]
    assert [each["name"] for each in signature["features"]] == model.names
    assert [each["name"] for each in signature["outputs"]] == ["prediction", "lower", "upper"]
    assert signature["target"]["unit"] == "µg/m³"
    assert model.spec == read_json(files.specification)["spec"]
    assert len(list((out / "model" / "pm25_6h").glob("*.bst"))) == 1
    reference = read_json(out / "model" / "pm25_6h" / "reference.json")
    assert {"pm25", "cbwd", "pm25_mean_24h"} <= {each["name"] for each in reference["features"]}
    root = read_json(out / "model" / "manifest.json")
    assert root["targets"] == ["pm25_6h", "pm25_1h"]
    assert root["data_digest"] == read_json(out / "model" / "pm25_6h" / "manifest.json")["data_digest"]


def test_folds_expand_and_learn_only_from_targets_known_before_they_begin(
    world: tuple[UseCase, Inputs, Path, Lines],
) -> None:
    case, files, out, _ = world
    target = case.target("pm25_6h")
    problem = make_problem(
        case, read_features(case, files.features), load_model(out / "model" / "pm25_6h").names, target
    )
    folds = make_folds(case, problem)
    hour = 3_600_000_000
    for earlier, later in pairwise(folds):
        assert earlier.train.size < later.train.size
        assert set(earlier.valid).isdisjoint(later.valid)
    for fold in folds:
        assert problem.time[fold.train].max() + 6 * hour < problem.time[fold.valid].min()
        assert np.isfinite(problem.y[fold.valid]).all()
    test_from = int(np.datetime64("2012-01-01", "us").astype(np.int64))
    assert problem.time[problem.train].max() + 6 * hour < test_from


@pytest.mark.parametrize("candidate", [HIST, RIDGE, DIFFERENCE], ids=["hist", "ridge", "difference"])
def test_each_kind_is_stored_and_read_again(beijing: pl.DataFrame, tmp_path: Path, candidate: dict[str, Any]) -> None:
    case = usecase(candidate)
    files = inputs(case, beijing, tmp_path / "in")
    run(case, files, tmp_path)
    model = load_model(tmp_path / "model" / "pm25_6h")
    problem = make_problem(case, read_features(case, files.features), model.names, case.targets[0])
    rows = np.flatnonzero(~problem.train & np.isfinite(problem.y) & np.isfinite(problem.last))
    error = model.predict(problem.X[rows]).prediction - problem.y[rows]
    assert np.sqrt(np.mean(error**2)) < np.sqrt(np.mean((problem.last - problem.y)[rows] ** 2))
    bodies = {"lightgbm": "lightgbm", "hist_gradient_boosting": "sklearn", "linear": "linear"}
    assert model.predictor.kind == bodies[candidate["kind"]]
    contributions, base, explained = model.explain(problem.X[rows[:50]])
    assert np.array_equal(explained, model.predict(problem.X[rows[:50]]).prediction)
    inside = explained > 0
    assert np.allclose((contributions.sum(axis=1) + base)[inside], explained[inside], atol=1e-9)
    assert not list(tmp_path.rglob("*.pkl"))


def test_a_classification_gives_probabilities(beijing: pl.DataFrame, tmp_path: Path) -> None:
    decision = {"thresholds": [0.3], "names": ["go", "stay"]}
    target = {"name": "heavy", "column": "pm25", "horizon": "6h", "task": "classification", "above": 150.0}
    target |= {"decision": decision}
    linear = {**RIDGE, "predict": "level"}
    blend = {"name": "blend", "kind": "blend", "of": ["level", "ridge"]}
    choose = {"metric": "rmse", "prefer": ["blend"], "tolerance": 0.5}
    case = usecase(LEVEL, linear, blend, {**HIST, "fixed": {"max_iter": 10}}, targets=[target], choose=choose)
    files = inputs(case, beijing, tmp_path / "in")
    record = run(case, files, tmp_path)
    assert record["targets"]["heavy"]["chosen"] == "blend"
    assert record["targets"]["heavy"]["metric"] == "log_loss"
    model = load_model(tmp_path / "model" / "heavy")
    problem = make_problem(case, read_features(case, files.features), model.names, case.targets[0])
    rows = np.flatnonzero(~problem.train & np.isfinite(problem.y))
    probability = model.predict(problem.X[rows]).prediction
    assert ((probability > 0) & (probability < 1)).all()
    rate = problem.y[problem.known].mean()
    naive = -np.mean(problem.y[rows] * np.log(rate) + (1 - problem.y[rows]) * np.log(1 - rate))
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    assert -np.mean(problem.y[rows] * np.log(p) + (1 - problem.y[rows]) * np.log(1 - p)) < 0.7 * naive
    assert model.intervals is None
    assert [each["name"] for each in model.signature["outputs"]] == ["prediction"]
    assert model.signature["decision"] == decision


def test_what_cannot_be_trained_is_named(
    world: tuple[UseCase, Inputs, Path, Lines], beijing: pl.DataFrame, tmp_path: Path
) -> None:
    _, files, _, _ = world
    case = usecase({**DIFFERENCE, "fixed": {"num_leaves": -3}})
    with pytest.raises(TrainingError, match="candidate difference, target pm25_6h"):
        run(case, files, tmp_path)
    with pytest.raises(TrainingError, match=r"training\.folds: fold 1 of target pm25_6h"):
        run(usecase(DIFFERENCE, folds={"count": 4, "length": "365d"}), files, tmp_path)
    empty = beijing.with_columns(pl.lit(None, pl.Float64).alias("pm25"))
    with pytest.raises(TrainingError, match=r"targets\.pm25_6h: pm25 has no value 6h ahead"):
        case = usecase(RIDGE)
        run(case, inputs(case, empty, tmp_path / "in"), tmp_path)
    never = {"name": "never", "column": "pm25", "horizon": "6h", "task": "classification", "above": 5000.0}
    with pytest.raises(TrainingError, match=r"targets\.never: pm25 has one class, 0, in the whole training span"):
        case = usecase(LEVEL, targets=[never])
        run(case, inputs(case, beijing, tmp_path / "never"), tmp_path)
    broken = Inputs(files.table, files.specification, files.table)
    with pytest.raises(TableError, match="no column y_pm25_6h"):
        run(usecase(RIDGE), broken, tmp_path)
    assert not (tmp_path / "model").exists()


def test_a_specification_without_its_parts_is_refused(
    world: tuple[UseCase, Inputs, Path, Lines], tmp_path: Path
) -> None:
    _, files, _, _ = world
    (tmp_path / "spec.json").write_text(json.dumps({"names": ["pm25"], "fitted": {}}))
    with pytest.raises(TrainingError, match="no field 'spec'"):
        run(usecase(RIDGE), Inputs(files.features, tmp_path / "spec.json", files.table), tmp_path)


def test_the_seconds_of_the_budget_stop_after_the_first_trial(
    world: tuple[UseCase, Inputs, Path, Lines], tmp_path: Path
) -> None:
    _, files, _, _ = world
    record = run(usecase(DIFFERENCE, budget={"trials": 9, "seconds": 0.001}), files, tmp_path)
    trials = record["targets"]["pm25_6h"]["trials"]["difference"]
    assert trials["stopped_by"] == "seconds"
    assert len(trials["trials"]) == 1


def test_a_trial_that_falls_behind_is_given_up_after_its_first_fold(beijing: pl.DataFrame, tmp_path: Path) -> None:
    trees = {key: value for key, value in LEVEL.items() if key not in ("start", "search")}
    rates = {"kind": "choice", "values": [0.1, 0.0001]}
    fixed = {key: value for key, value in LEVEL["fixed"].items() if key != "learning_rate"}
    starts = [{"learning_rate": rate} for rate in (0.1, 0.0001, 0.1)]
    case = usecase({**trees, "fixed": fixed, "search": {"learning_rate": rates}, "start": starts, "trials": 3})
    record = run(case, inputs(case, beijing, tmp_path / "in"), tmp_path)
    trials = record["targets"]["pm25_6h"]["trials"]["level"]["trials"]
    assert [trial["state"] for trial in trials] == ["complete", "pruned", "complete"]
    assert [len(trial["losses"]) for trial in trials] == [2, 1, 2]


def test_the_preferred_candidate_wins_within_tolerance_alone() -> None:
    first, second = (
        Contender(name, [loss], loss, np.zeros(1), {name: 1.0}) for name, loss in (("a", 10.0), ("b", 10.2))
    )
    assert best([first, second], Choose()).name == "a"
    assert best([first, second], Choose(prefer=["b"], tolerance=0.03)).name == "b"
    assert best([first, second], Choose(prefer=["b"], tolerance=0.01)).name == "a"


@pytest.mark.parametrize(("bias", "name"), [(0.06, "b"), (-0.06, "b"), (0.09, "a"), (-0.09, "a"), (0.0, "b")])
def test_a_preferred_candidate_may_not_be_more_biased(bias: float, name: str) -> None:
    first = Contender("a", [10.0], 10.0, np.zeros(1), {"a": 1.0}, 0.05)
    second = Contender("b", [10.1], 10.1, np.zeros(1), {"b": 1.0}, bias)
    assert best([first, second], Choose(prefer=["b"], tolerance=0.03)).name == name


def test_weights_are_never_negative_and_leave_out_the_useless() -> None:
    noise = np.random.default_rng(3).normal(size=(3, 4000))
    y = noise[0] * 3
    good, other, bad = y + noise[1], y + noise[2], 9 * noise[1] + 100
    weights = weigh(y, np.column_stack([good, other, bad]))
    assert weights[2] == 0.0
    assert weights.sum() == pytest.approx(1.0)
    assert weights[:2] == pytest.approx([0.5, 0.5], abs=0.05)
    # Rows that count nothing are as if they were not there.
    shares = np.where(np.arange(4000) < 2000, 1.0 / 2000, 0.0)
    counted = weigh(y, np.column_stack([good, np.where(shares > 0, other, 50.0)]), shares=shares)
    assert counted == pytest.approx(weigh(y[:2000], np.column_stack([good, other])[:2000]))
    odds = weigh((y > 0).astype(float), np.column_stack([y, -y]), classification=True)
    assert odds[0] > 0
    assert odds[1] == 0.0
