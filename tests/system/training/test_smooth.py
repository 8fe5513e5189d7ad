"""Learners of smooth functions, and how much a fold counts."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.neural_network import MLPRegressor

from almanac.core.errors import TrainingError
from almanac.core.files import read_json
from almanac.model.model import load_model
from almanac.model.units import standardise
from almanac.training.dataset import make_problem, read_features
from almanac.training.fit import fit
from almanac.training.fitted_model import AdditiveModel
from almanac.training.folds import fold_weights, make_folds
from almanac.training.problem import Problem, TrainingRows
from almanac.training.train import train
from almanac.usecase import UseCase
from almanac.usecase.training_section import Learner
from tests.support.training_world import KERNEL, LEVEL, MLP, RIDGE, inputs, usecase

SMOOTH = {"name": "smooth", "kind": "blend", "of": ["level", "kernel", "mlp"]}


@pytest.fixture(scope="module")
def world(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[UseCase, Problem, Path]:
    """A trained blend of trees, kernel ridge regression and perceptrons."""
    base = tmp_path_factory.mktemp("smooth")
    choose = {"metric": "rmse", "prefer": ["smooth"], "tolerance": 0.5}
    case = usecase(LEVEL, KERNEL, MLP, SMOOTH, budget={"trials": 1}, choose=choose)
    files = inputs(case, beijing, base / "in")
    for name in ("one", "two"):
        train(case, files, base / name / "model", base / name / "tuning.json", progress=lambda *line: None)
    names = read_json(files.specification)["names"]
    return case, make_problem(case, read_features(case, files.features), names, case.targets[0]), base


def _fitted(problem: Problem, declared: dict[str, object], rows: int) -> AdditiveModel:
    (candidate,) = usecase(declared).training.candidates
    assert isinstance(candidate, Learner)
    data = TrainingRows(problem, np.flatnonzero(problem.known)[:rows])
    model = fit(candidate, dict(candidate.fixed), data, 7)
    assert isinstance(model, AdditiveModel)
    return model


def test_with_a_landmark_a_row_it_is_kernel_ridge_regression(world: tuple[UseCase, Problem, Path]) -> None:
    _, problem, _ = world
    fixed = {"landmarks": 500, "gamma": 0.05, "alpha": 3}
    model = _fitted(problem, {**KERNEL, "predict": "level", "fixed": fixed}, 500)
    rows = np.flatnonzero(problem.known)[:500]
    (layer,) = model.layers
    Z = standardise(problem.X[rows], layer.fill, layer.scale, True)
    y = problem.y[rows]
    # scikit-learn has no intercept, so the kernel is given one: centred in the space of its features.
    centre = np.eye(500) - 1 / 500
    kernel = np.exp(-0.05 * ((Z[:, None] - Z[None]) ** 2).sum(axis=2))
    peer = KernelRidge(alpha=3, kernel="precomputed").fit(centre @ kernel @ centre, y - y.mean())
    expected = peer.predict(centre @ kernel @ centre) + y.mean()
    np.testing.assert_allclose(model.raw(problem, rows), expected, atol=0.02 * y.std())


def test_perceptrons_are_those_of_scikit_learn(world: tuple[UseCase, Problem, Path]) -> None:
    _, problem, _ = world
    model = _fitted(problem, {**MLP, "seeds": 1}, 1000)
    rows = np.flatnonzero(problem.known)[:1000]
    Z = standardise(problem.X[rows], model.layers[0].fill, model.layers[0].scale, True)
    y = problem.y[rows]
    peer = MLPRegressor(hidden_layer_sizes=(8,), alpha=10.0, max_iter=2, batch_size=200, random_state=7)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        peer.fit(Z, (y - y.mean()) / y.std())
    np.testing.assert_allclose(model.raw(problem, rows), peer.predict(Z) * y.std() + y.mean(), rtol=1e-9)


def test_a_blend_of_all_is_one_directory_of_the_same_bytes_and_predicts_what_was_fitted(
    world: tuple[UseCase, Problem, Path],
) -> None:
    case, problem, base = world
    one, two = (load_model(base / name / "model" / "pm25_6h") for name in ("one", "two"))
    assert one.directory.files == two.directory.files
    assert {"units.npz", "model.bst", "offset.json"} <= one.directory.files.keys()
    assert one.directory.manifest["kind"] == "units"
    weights = read_json(base / "one" / "tuning.json")["targets"]["pm25_6h"]["weights"]
    rows = np.flatnonzero(problem.known)
    parts = []
    for candidate in case.training.candidates:
        if isinstance(candidate, Learner) and candidate.name in weights:
            parameters = read_json(base / "one" / "tuning.json")["targets"]["pm25_6h"]["parameters"][candidate.name]
            fitted = fit(candidate, parameters, TrainingRows(problem, rows), case.training.seed)
            parts.append(weights[candidate.name] * fitted.raw(problem, rows[::50]))
    np.testing.assert_allclose(
        one.predict(problem.X[rows[::50]]).prediction, np.clip(np.sum(parts, axis=0), 0, 1000), rtol=1e-9, atol=1e-9
    )


def test_a_fold_counts_by_its_training_rows(world: tuple[UseCase, Problem, Path]) -> None:
    case, problem, base = world
    folds = make_folds(case, problem)
    counts = fold_weights(folds)
    assert counts.tolist() == pytest.approx([fold.train.size / sum(f.train.size for f in folds) for fold in folds])
    assert counts[0] < counts[1]
    found = read_json(base / "one" / "tuning.json")["targets"]["pm25_6h"]
    assert found["fold_weights"] == counts.tolist()
    for kind in ("candidates", "baselines"):
        for entry in found[kind].values():
            assert entry["loss"] == pytest.approx(float(counts @ entry["folds"]))


def test_kernel_ridge_refuses_a_probability(beijing: pl.DataFrame, tmp_path: Path) -> None:
    heavy = {"name": "heavy", "column": "pm25", "horizon": "6h", "task": "classification", "above": 150.0}
    case = usecase({**KERNEL, "predict": "level"}, targets=[heavy])
    files = inputs(case, beijing, tmp_path / "in")
    with pytest.raises(TrainingError, match="candidate kernel: of kind kernel_ridge, which forecasts no probability"):
        train(case, files, tmp_path / "model", tmp_path / "tuning.json", progress=lambda *line: None)


def test_a_parameter_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(Exception, match=r"kernel\.fixed\.beta: is no parameter of kernel_ridge; known: alpha"):
        usecase({**KERNEL, "fixed": {"beta": 1}}, RIDGE)
