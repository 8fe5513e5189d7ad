"""Training by LightGBM's Dask learner on processes of their own, on the real series."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac import drift
from almanac.core import dask_workers
from almanac.core.errors import TableError, TrainingError, WorkerError
from almanac.core.files import read_json
from almanac.evaluation.scored_rows import read_parts, read_table, score_rows
from almanac.model.model import load_model
from almanac.training.backends import open_problems
from almanac.training.candidates.lightgbm import LightGBM
from almanac.training.dask_backend import DaskGrower, take, without_network
from almanac.training.dataset import make_problem, mapped, read_features
from almanac.training.fit import fit
from almanac.training.fitted_model import AdditiveModel
from almanac.training.problem import Problem, TrainingRows
from almanac.training.reference import input_profile
from almanac.training.train import Inputs, train
from almanac.usecase import UseCase
from almanac.usecase.training_section import Dask
from tests.support.training_world import BLEND, DIFFERENCE, HIST, LEVEL, RIDGE, inputs, usecase

#: By how much, relatively, errors of the two engines' models may differ; another seed moves them as much.
NOISE = 0.02
ABOVE = {"name": "severe", "column": "pm25", "horizon": "6h", "task": "classification", "above": 150.0}


def world(engine: str, **dask: Any) -> UseCase:
    """Every kind of candidate; trees enough for an error worth comparing."""
    many = {**LEVEL["fixed"], "n_estimators": 80}
    candidates = [{**LEVEL, "fixed": many}, {**DIFFERENCE, "fixed": many}, HIST, RIDGE, BLEND]
    return usecase(*candidates, engine=engine, dask=dask)


def quiet(*_: object) -> None:
    return


@pytest.fixture(scope="module")
def files(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return inputs(world("local"), beijing, tmp_path_factory.mktemp("distributed"))


@pytest.fixture(scope="module")
def local(files: Inputs) -> tuple[Path, dict[str, Any]]:
    out = files.features.parent / "local"
    return out, train(world("local"), files, out / "model", out / "tuning.json", progress=quiet)


@pytest.fixture(scope="module")
def dask(files: Inputs) -> tuple[Path, dict[str, Any]]:
    out = files.features.parent / "dask"
    return out, train(world("dask"), files, out / "model", out / "tuning.json", progress=quiet)


@pytest.fixture(scope="module")
def found() -> Iterator[dask_workers.Workers]:
    with dask_workers.start(Dask(workers=3)) as found:
        yield found


@pytest.fixture(scope="module")
def problem(files: Inputs) -> Problem:
    case = world("local")
    names = read_json(files.specification)["names"]
    return make_problem(case, read_features(case, files.features), names, case.targets[0])


def errors(case: UseCase, files: Inputs, model: Path) -> float:
    """RMSE of the stored model on the half-year after training."""
    forecaster = load_model(model / "pm25_6h")
    judged = score_rows(case, read_table(files.features, case), case.targets[0], forecaster)
    return float(np.sqrt(np.mean((judged.prediction - judged.y) ** 2)))


def test_the_error_is_that_of_one_machine_within_noise(
    files: Inputs, local: tuple[Path, dict[str, Any]], dask: tuple[Path, dict[str, Any]]
) -> None:
    ours, theirs = (record["targets"]["pm25_6h"]["candidates"] for _, record in (dask, local))
    for name in ("level", "difference", "blend"):
        assert ours[name]["loss"] == pytest.approx(theirs[name]["loss"], rel=NOISE), name
    case = world("local")
    assert errors(case, files, dask[0] / "model") == pytest.approx(errors(case, files, local[0] / "model"), rel=NOISE)


def test_candidates_that_are_no_trees_of_lightgbm_learn_as_without_the_engine(
    local: tuple[Path, dict[str, Any]], dask: tuple[Path, dict[str, Any]]
) -> None:
    ours, theirs = (record["targets"]["pm25_6h"] for _, record in (dask, local))
    for name in ("hist", "ridge"):
        assert ours["trials"][name] == theirs["trials"][name]
    assert ours["baselines"] == theirs["baselines"]
    assert read_json(dask[0] / "tuning.json")["engine"] == {"name": "dask", "workers": 2}
    assert "engine" not in read_json(local[0] / "tuning.json")


def test_other_processes_give_the_same_bytes(files: Inputs, dask: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """A new cluster has other addresses and ports, and threads run in another order."""
    case = world("dask")
    case = case.model_copy(update={"training": case.training.model_copy(update={"threads": 3})})
    train(case, files, tmp_path / "model", tmp_path / "tuning.json", progress=quiet)
    for name in ("pm25_6h/model.bst", "pm25_6h/offset.json", "pm25_6h/intervals.json", "oof.parquet"):
        assert (tmp_path / "model" / name).read_bytes() == (dask[0] / "model" / name).read_bytes(), name
    assert (tmp_path / "tuning.json").read_bytes() == (dask[0] / "tuning.json").read_bytes()


def test_a_model_tells_neither_addresses_nor_ports(dask: tuple[Path, dict[str, Any]]) -> None:
    text = (dask[0] / "model" / "pm25_6h" / "model.bst").read_text()
    assert "[tree_learner: data]" in text
    assert "[machines: ]" in text
    assert "[num_machines: 1]" in text
    assert "127.0.0.1" not in text
    assert without_network(text) == text
    names = read_json(dask[0] / "model" / "pm25_6h" / "features.json")["names"]
    assert f"feature_names={' '.join(names)}" in text


def test_rows_lie_on_all_workers_and_are_found_there(found: dask_workers.Workers, problem: Problem) -> None:
    grower = DaskGrower(found, problem.names, problem.X, seed=7)
    rows = np.flatnonzero(problem.known)[::3]
    X, y = grower._chosen(rows, problem.y[rows])
    gathered = np.asarray(found.client.compute(X).result())
    owner = np.random.default_rng(7).integers(0, 3, len(problem.X), np.int32)[rows]
    order = np.concatenate([rows[owner == rank] for rank in range(3)])
    np.testing.assert_array_equal(gathered, problem.X[order])
    np.testing.assert_array_equal(np.asarray(found.client.compute(y).result()), problem.y[order])
    held = {where for wheres in found.client.who_has().values() for where in wheres}
    assert held == set(found.addresses)


def test_rows_are_taken_from_whichever_piece_has_them() -> None:
    whole = np.arange(20.0).reshape(10, 2)
    places = np.array([0, 2, 3, 7, 9])
    for cuts in ([], [3], [1, 2, 9], [4, 4]):
        np.testing.assert_array_equal(take(np.split(whole, cuts), places), whole[places])


def test_a_probability_is_learned_as_well(found: dask_workers.Workers, files: Inputs) -> None:
    case = usecase(LEVEL, targets=[ABOVE])
    names = read_json(files.specification)["names"]
    table = read_features(case, files.features)
    y = (table["y_pm25_6h"].fill_nan(None) > 150.0).cast(pl.Float64).fill_null(float("nan"))
    last = table["last_pm25_6h"].alias("last_severe")
    # The target's own y is the value, which the problem holds against the threshold.
    table = table.with_columns(table["y_pm25_6h"].alias("y_severe"), last)
    problem = make_problem(case, table, names, case.targets[0])
    candidate = LightGBM.model_validate(
        {**LEVEL, "fixed": {**LEVEL["fixed"], "n_estimators": 60}, "search": {}, "start": {}}
    )
    rows = np.flatnonzero(problem.known)
    learn, judge_by = rows[: len(rows) * 3 // 4], rows[len(rows) * 3 // 4 :]
    truth = y.to_numpy()[judge_by]
    losses = []
    for grower in (None, DaskGrower(found, names, problem.X, seed=7)):
        placed = replace(problem, grower=grower)
        raw = fit(candidate, candidate.fixed, TrainingRows(placed, learn), 7).raw(problem, judge_by)
        losses.append(float(np.mean(np.logaddexp(0.0, raw) - truth * raw)))
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    rate = truth.mean()
    assert losses[1] < 0.8 * -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def test_several_seeds_give_several_boosters(found: dask_workers.Workers, problem: Problem) -> None:
    grower = DaskGrower(found, problem.names, problem.X, seed=7)
    rows = np.flatnonzero(problem.known)
    settings = {"objective": "regression", "subsample": 0.5, "subsample_freq": 1, "verbose": -1, "num_threads": 1}
    one, other = grower(rows, problem.y[rows], settings, 5, [7, 8])
    assert one.num_trees() == other.num_trees() == 5
    assert one.feature_name() == problem.names
    assert one.model_to_string() != other.model_to_string()


def test_what_the_learner_refuses_names_the_candidate(found: dask_workers.Workers, problem: Problem) -> None:
    placed = replace(problem, grower=DaskGrower(found, problem.names, problem.X, seed=7))
    candidate = LightGBM.model_validate({"kind": "lightgbm", "name": "wrong"})
    with pytest.raises(TrainingError, match=r"candidate wrong, target pm25_6h: .*num_leaves"):
        fit(candidate, {"num_leaves": 1}, TrainingRows(placed, np.flatnonzero(problem.known)), 7)
    with pytest.raises(TrainingError, match=r"50 rows give worker \d of 3 no more than \d+; lower training.dask.work"):
        fit(candidate, {}, TrainingRows(placed, np.flatnonzero(problem.known)[:50]), 7)
    # The workers are of use again.
    model = fit(candidate, {"n_estimators": 2}, TrainingRows(placed, np.flatnonzero(problem.known)), 7)
    assert isinstance(model, AdditiveModel)
    assert model.boosters


def test_a_worker_that_is_lost_ends_the_training(problem: Problem) -> None:
    started = time.monotonic()
    with pytest.raises(WorkerError, match="was lost"), dask_workers.start(Dask(workers=2)) as found:
        pids = found.client.run(os.getpid)
        grower = DaskGrower(found, problem.names, problem.X, seed=7)
        threading.Timer(3.0, os.kill, (pids[found.addresses[1]], signal.SIGKILL)).start()
        rows = np.flatnonzero(problem.known)
        grower(rows, problem.y[rows], {"objective": "regression", "verbose": -1}, 100_000, [7])
    assert time.monotonic() - started < 60


def test_the_matrix_lies_on_the_disk_and_is_the_same(files: Inputs, problem: Problem, tmp_path: Path) -> None:
    X = mapped(files.features, problem.names, tmp_path / "X")
    assert isinstance(X, np.memmap)
    np.testing.assert_array_equal(np.asarray(X).view(np.int64), problem.X.view(np.int64))
    with pytest.raises(TableError, match="no column nowhere"):
        mapped(files.features, ["nowhere"], tmp_path / "Y")
    case = world("dask")
    with open_problems(case, files.features, problem.names) as (table, (made,)):
        assert table.columns == ["timestamp", "y_pm25_6h", "last_pm25_6h"]
        assert isinstance(made.X, np.memmap)
        for name, values in problem.baselines.items():
            np.testing.assert_array_equal(made.baselines[name], values)
        assert isinstance(made.grower, DaskGrower)


def test_a_long_reference_is_streamed_and_judges_alike(beijing: pl.DataFrame, files: Inputs, problem: Problem) -> None:
    case = world("local")
    table, features = pl.read_parquet(files.table), read_features(case, files.features)
    whole, streamed = (
        drift.from_json(input_profile(case, table, features, problem, rows)) for rows in (1 << 18, 2_500)
    )
    assert (streamed.rows, streamed.span) == (whole.rows, whole.span) == (int(problem.train.sum()), whole.span)
    assert list(streamed.features) == list(whole.features)
    for name, feature in whole.features.items():
        assert streamed.features[name].longest == feature.longest, name
        assert streamed.features[name].fine.sum() == feature.fine.sum(), name
    raw = [name for name in whole.features if name in beijing.columns]
    later = beijing.filter(pl.col("timestamp").is_between(pl.datetime(2013, 1, 1), pl.datetime(2013, 1, 31)))
    for window in (later, later.with_columns(pl.col("pm25") * 3 + 200)):
        ours, theirs = (drift.compare(drift.restrict(profile, raw), window) for profile in (streamed, whole))
        assert ours.drifted == theirs.drifted


def test_an_evaluation_that_reads_the_test_span_alone_judges_the_same_rows(
    files: Inputs, local: tuple[Path, dict[str, Any]]
) -> None:
    case, model = world("local"), load_model(local[0] / "model" / "pm25_6h")
    table, late = read_parts(files.features, case)
    assert table.columns == ["timestamp", "y_pm25_6h", "last_pm25_6h"]
    assert late.height < 0.25 * table.height
    parts = score_rows(case, table, case.targets[0], model, late)
    whole = score_rows(case, read_table(files.features, case), case.targets[0], model)
    for name in ("time", "X", "y", "prediction", "last"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name), err_msg=name)
    assert parts.scale == whole.scale
    assert re.fullmatch(r"\d+\.\d+", str(parts.scale))
