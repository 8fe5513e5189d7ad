"""Learners that start from a baseline, and the choice among candidates that few rows cannot tell apart."""

from typing import Any

import numpy as np
import pytest

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError, UseCaseError
from almanac.model.offset import Offset, probability
from almanac.training.choice import Contender, best, rule_of
from almanac.training.fit import fit
from almanac.training.fitted_model import AdditiveModel
from almanac.training.folds import Fold
from almanac.training.problem import Problem, TrainingRows
from almanac.training.standard_error import standard_error
from almanac.training.tuning import Tuning
from almanac.usecase.training_section import Choose, Learner, Target
from tests.support.training_world import RIDGE, TARGET, TREES, usecase

HEAVY = {"name": "heavy", "column": "pm25", "horizon": "6h", "task": "classification", "above": 150.0}
MARKET: dict[str, Any] = {"name": "market", "kind": "linear", "around": "odds", "fixed": {"alpha": 1.0}}


def _problem(effect: float, target: dict[str, Any] = HEAVY) -> Problem:
    """A market that knows all but the effect of one feature, in log-odds or as a value."""
    (declared,) = usecase(MARKET, targets=[target]).targets
    generator = np.random.default_rng(11)
    X = generator.normal(size=(4000, 3))
    score = X[:, 0] + effect * X[:, 1]
    coin = (generator.uniform(size=4000) < probability(score)).astype(np.float64)
    y = coin if target is HEAVY else score + generator.normal(size=4000)
    names = ["odds", "known", "noise"]
    return _rows(declared, names, X, y)


def _candidate(declared: dict[str, Any], target: dict[str, Any], **fixed: float) -> Learner:
    case = usecase({**declared, "fixed": {**declared.get("fixed", {}), **fixed}}, targets=[target])
    (candidate,) = case.training.candidates
    assert isinstance(candidate, Learner)
    return candidate


def _fitted(problem: Problem, declared: dict[str, Any], **fixed: float) -> AdditiveModel:
    candidate = _candidate(declared, HEAVY if problem.classification else TARGET, **fixed)
    model = fit(candidate, dict(candidate.fixed), TrainingRows(problem, np.arange(4000)), 7)
    assert isinstance(model, AdditiveModel)
    return model


@pytest.mark.parametrize("target", [HEAVY, TARGET], ids=["classification", "regression"])
def test_a_large_penalty_leaves_the_baseline_and_a_small_one_learns_what_it_lacks(target: dict[str, Any]) -> None:
    problem, rows = _problem(0.5, target), np.arange(4000)
    shrunk = _fitted(problem, MARKET, alpha=1e9)
    np.testing.assert_allclose(shrunk.raw(problem, rows), problem.X[:, 0], atol=1e-4)
    learned = _fitted(problem, MARKET, alpha=1.0)
    # The baseline's own coefficient is 1 plus what was learned of it.
    np.testing.assert_allclose(learned.linear.coefficients, [1.0, 0.5, 0.0], atol=0.12)


def test_without_a_baseline_the_same_penalty_gives_the_mean() -> None:
    problem = _problem(0.0)
    plain = {"name": "plain", "kind": "linear", "fixed": {"alpha": 1e9}}
    raw = _fitted(problem, plain).raw(problem, np.arange(4000))
    assert raw.std() < 1e-3
    assert probability(raw).mean() == pytest.approx(problem.y.mean(), abs=1e-3)


def test_the_weights_are_those_of_the_least_penalised_loss() -> None:
    problem = _problem(0.5)
    model = _fitted(problem, MARKET, alpha=300.0)
    fill, scale = problem.X.mean(axis=0), problem.X.std(axis=0)

    def penalised(linear: Offset) -> float:
        margin = linear.add(np.zeros(4000), problem.X)
        weights = (linear.coefficients - [1.0, 0.0, 0.0]) * scale
        intercept = linear.intercept + weights / scale @ fill
        loss = np.sum(np.logaddexp(0.0, margin) - problem.y * margin)
        return float(loss + 150.0 * (weights @ weights + intercept**2))

    least = penalised(model.linear)
    for at in range(3):
        for step in (-0.01, 0.01):
            moved = model.linear.coefficients + step * (np.arange(3) == at)
            assert penalised(Offset(model.linear.intercept, np.arange(3), moved, fill, fill)) > least


def test_a_feature_in_log_odds_is_a_candidate_of_a_classification() -> None:
    problem = _problem(0.0)
    model = _fitted(problem, {"name": "itself", "kind": "feature", "feature": "odds"})
    assert model.raw(problem, np.arange(4000)).tolist() == problem.X[:, 0].tolist()


def test_trees_start_no_classification_from_a_feature() -> None:
    with pytest.raises(TrainingError, match="heavy is a classification, which kind lightgbm starts from no feature"):
        _fitted(_problem(0.0), {**TREES, "name": "trees", "around": "odds", "search": {}, "start": {}})
    with pytest.raises(TrainingError, match="around: there is no feature price"):
        _fitted(_problem(0.0), {**MARKET, "around": "price"})
    with pytest.raises(TrainingError, match="candidate market: outliers: heavy is a classification, whose classes"):
        _fitted(_problem(0.0), {**MARKET, "outliers": 1.0})


def test_outliers_are_not_learned_from_and_the_others_are_all() -> None:
    problem = _problem(0.0, TARGET)
    # Every tenth row is a lot, in which a feature plays a part that it does not play otherwise.
    lots = np.arange(4000) % 10 == 0
    problem.y[lots] += 20.0 + 5.0 * problem.X[lots, 1]
    held = _fitted(problem, {**MARKET, "outliers": 5.0})
    np.testing.assert_allclose(held.linear.coefficients, [1.0, 0.0, 0.0], atol=0.06)
    assert abs(_fitted(problem, MARKET).linear.coefficients[1]) > 0.3
    alone = fit(_candidate(MARKET, TARGET), {"alpha": 1.0}, TrainingRows(problem, np.flatnonzero(~lots)), 7)
    rows = np.arange(4000)
    np.testing.assert_allclose(held.raw(problem, rows), alone.raw(problem, rows), rtol=1e-12)
    with pytest.raises(TrainingError, match="candidate market: outliers: every row is further than 1e-09 away"):
        _fitted(problem, {**MARKET, "outliers": 1e-9})
    with pytest.raises(UseCaseError, match="'outliers' is a distance from a feature; name it by 'around'"):
        usecase({**RIDGE, "outliers": 1.0})


def _contender(name: str, loss: float, noise: float, bias: float = 0.0) -> Contender:
    return Contender(name, [loss], loss, np.zeros(400), {name: 1.0}, bias, noise=noise)


@pytest.mark.parametrize(
    ("noise", "bias", "name"),
    [(0.02, 0.0, "market"), (0.005, 0.0, "trees"), (0.02, 0.04, "market"), (0.02, 0.06, "trees")],
)
def test_the_preferred_candidate_wins_unless_another_is_better_by_more_than_chance(
    noise: float, bias: float, name: str
) -> None:
    trees, market = _contender("trees", 0.68, 0.0), _contender("market", 0.69, noise, bias)
    rule = Choose(prefer=["market"], standard_errors=1)
    assert best([trees, market], rule).name == name
    assert best([trees, market], Choose(prefer=["market"])).name == "trees"
    assert "0.0% and 1 standard errors of the smallest" in rule_of([trees, market], market, rule, "log_loss")


@pytest.mark.parametrize("metric", ["log_loss", "rmse", "mae"])
def test_the_standard_error_is_the_spread_of_the_difference_over_samples(metric: str) -> None:
    """Of 400 samples of two folds, by hand."""
    target = HEAVY if metric == "log_loss" else TARGET
    case = usecase(
        {**RIDGE, "predict": "level"}, targets=[target], choose={"metric": metric if target is TARGET else "rmse"}
    )
    (declared,) = case.targets
    folds = [Fold(np.arange(100), np.arange(100, 300)), Fold(np.arange(300), np.arange(300, 700))]
    generator = np.random.default_rng(5)
    differences, errors = [], []
    for _ in range(400):
        first, second = generator.normal(size=(2, 700))
        score = first + second
        coin = (generator.uniform(size=700) < probability(score)).astype(np.float64)
        y = coin if declared.task == "classification" else score + generator.normal(size=700)
        task = Tuning(case, _with(declared, y), folds, [np.ones(200, np.bool_), np.ones(400, np.bool_)], 0.0)
        rows = np.concatenate([fold.valid for fold in folds])
        losses = [task.mean([_loss(metric, y[f.valid], raw[f.valid]) for f in folds]) for raw in (first, 0.5 * first)]
        differences.append(losses[0] - losses[1])
        errors.append(standard_error(task, first[rows], 0.5 * first[rows]))
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.12)


def _with(declared: Target, y: Array) -> Problem:
    return _rows(declared, ["x"], np.zeros((y.size, 1)), y)


def _rows(declared: Target, names: list[str], X: Array, y: Array) -> Problem:
    return Problem(
        target=declared,
        names=names,
        X=X,
        y=y,
        last=np.full(y.size, np.nan),
        last_name=None,
        age_name=None,
        baselines={},
        time=np.arange(y.size, dtype=np.int64),
        train=np.ones(y.size, dtype=np.bool_),
        history=lambda: pytest.fail("no series"),
        steps_ahead=1,
        season_length=1,
    )


def _loss(metric: str, y: Array, raw: Array) -> float:
    if metric == "log_loss":
        p = probability(raw)
        return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))
    return float(np.sqrt(np.mean((raw - y) ** 2))) if metric == "rmse" else float(np.mean(np.abs(raw - y)))
