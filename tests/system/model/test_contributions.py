"""SHAP values of a model, as it was fitted and as it was read again: they add up to what it says."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.files import read_json
from almanac.model.model import load_model
from almanac.training.dataset import make_problem, read_features
from almanac.training.fit import fit
from almanac.training.problem import TrainingRows
from almanac.training.train import train
from almanac.usecase import UseCase
from almanac.usecase.training_section import Learner
from tests.support.training_world import BLEND, DIFFERENCE, HIST, KERNEL, LEVEL, MLP, RIDGE, inputs, usecase

HEAVY = {"name": "heavy", "column": "pm25", "horizon": "6h", "task": "classification", "above": 150.0}
SMOOTH = {"name": "smooth", "kind": "blend", "of": ["level", "kernel", "mlp"]}
ONE = {"trials": 1, "seconds": 600}


def _trained(case: UseCase, beijing: pl.DataFrame, folder: Path) -> Any:
    files = inputs(case, beijing, folder / "in")
    train(case, files, folder / "model", folder / "tuning.json", progress=lambda *line: None)
    model = load_model(folder / "model" / case.targets[0].name)
    return model, make_problem(case, read_features(case, files.features), model.names, case.targets[0])


@pytest.mark.parametrize(
    ("candidates", "chosen", "targets"),
    [
        ((LEVEL, DIFFERENCE, RIDGE, BLEND), "blend", None),
        ((HIST,), "hist", None),
        ((RIDGE,), "ridge", None),
        ((LEVEL, KERNEL, MLP, SMOOTH), "smooth", None),
        ((KERNEL,), "kernel", None),
        ((MLP,), "mlp", [HEAVY]),
        (({**HIST, "fixed": {"max_iter": 10}},), "hist", [HEAVY]),
    ],
    ids=["blend", "hist", "ridge", "smooth", "kernel", "perceptrons", "classification"],
)
def test_contributions_add_up_to_the_raw_output(
    beijing: pl.DataFrame, tmp_path: Path, candidates: Any, chosen: str, targets: Any
) -> None:
    metric = "log_loss" if targets else "rmse"
    choose = {"metric": metric, "prefer": [chosen], "tolerance": 0.5}
    case = usecase(*candidates, targets=targets, budget=ONE, choose=choose)
    model, problem = _trained(case, beijing, tmp_path)
    rows = np.flatnonzero(problem.train)[::400]
    X = problem.X[rows]
    assert np.isnan(X).any()
    values, total, predicted = model.explain(X)
    assert values.shape == X.shape
    raw = _log_odds(predicted) if targets else predicted
    expected = total + values.sum(axis=1)
    if not targets:
        expected = np.clip(expected, *model.predictor.offset.clip)
    assert raw == pytest.approx(expected, rel=1e-6, abs=1e-6)


def _log_odds(probability: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(probability / (1 - probability)))


def test_a_fitted_model_and_the_one_that_is_read_say_the_same(beijing: pl.DataFrame, tmp_path: Path) -> None:
    case = usecase(DIFFERENCE, budget=ONE)
    model, problem = _trained(case, beijing, tmp_path)
    (candidate,) = case.training.candidates
    assert isinstance(candidate, Learner)
    known = np.flatnonzero(problem.known)
    parameters = read_json(tmp_path / "tuning.json")["targets"]["pm25_6h"]["parameters"]["difference"]
    fitted = fit(candidate, parameters, TrainingRows(problem, known), case.training.seed)
    X = problem.X[known[::400]]
    assert fitted.contributions(X) == pytest.approx(model.explain(X)[0], abs=1e-9)


def test_the_cost_of_a_row_is_told_by_the_leaves(beijing: pl.DataFrame, tmp_path: Path) -> None:
    model, _ = _trained(usecase(LEVEL, budget=ONE), beijing, tmp_path)
    assert 25 * 2 <= model.predictor.leaves <= 25 * 8
