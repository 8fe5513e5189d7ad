"""The candidates: each kind learns in one thread and from a fixed seed, so that its bytes are the same anywhere."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

import lightgbm
import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from almanac.core.errors import TrainingError
from almanac.model.offset import probability
from almanac.training.dataset import Problem, Rows
from almanac.training.fitted import Array, Fitted, LinearPart, feature_means
from almanac.usecase.training_section import HistGradientBoosting, LightGBM, Linear

Parameters = dict[str, Any]
Learned = LightGBM | HistGradientBoosting | Linear

_LIGHTGBM: Parameters = {
    "verbose": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "feature_pre_filter": False,
}


@dataclass(frozen=True)
class Rowset:
    """The rows that a candidate learns from."""

    problem: Problem
    rows: Rows

    @property
    def X(self) -> Array:  # noqa: N802
        """Features of the rows."""
        return self.problem.X[self.rows]

    @property
    def y(self) -> Array:
        """Target of the rows."""
        return self.problem.y[self.rows]


def fit(candidate: Learned, parameters: Parameters, data: Rowset, seed: int) -> Fitted:
    """Return the candidate fitted to the rows.

    Raises:
        TrainingError: the learner refuses a parameter or the data; its message is passed on.
    """
    if data.problem.classification and candidate.predict == "difference":
        raise TrainingError(f"candidate {candidate.name}: a classification has no difference from the last known value")
    try:
        # One thread each: sums in a fixed order, and jobs that run side by side do not fight over the cores. OpenMP
        # keeps its limit by thread, so it is set here, where the learner runs.
        with threadpool_limits(1):
            match candidate:
                case LightGBM():
                    return _lightgbm(candidate, parameters, data, seed)
                case HistGradientBoosting():
                    return _hist_gradient_boosting(candidate, parameters, data, seed)
                case Linear():
                    return _linear(candidate, parameters, data)
                case _:
                    assert_never(candidate)
    except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
        if isinstance(error, TrainingError):
            raise
        raise TrainingError(f"candidate {candidate.name}, target {data.problem.target.name}: {error}") from error


def _base(candidate: Learned, data: Rowset) -> LinearPart:
    """Return the part that the candidate's learner builds upon: the last known value, or nothing."""
    problem = data.problem
    coefficients, fill = np.zeros(len(problem.names)), feature_means(problem.X, data.rows)
    if candidate.predict == "difference":
        if problem.last_name is None:
            raise TrainingError(
                f"candidate {candidate.name}: a difference needs the newest value of {problem.target.column} as a "
                f"feature (features.items of kind value)"
            )
        coefficients[problem.names.index(problem.last_name)] = 1.0
    return LinearPart(0.0, coefficients, fill)


def _lightgbm(candidate: LightGBM, parameters: Parameters, data: Rowset, seed: int) -> Fitted:
    base = _base(candidate, data)
    settings = dict(parameters)
    rounds = int(settings.pop("n_estimators", 400))
    objective = "binary" if data.problem.classification else "regression"
    label = data.y - base.predict(data.problem.X, data.rows)
    trees = data.problem.trees or partial(_trees, data.problem)
    seeds = [seed + number for number in range(candidate.seeds)]
    boosters = trees(data.rows, label, {"objective": objective, **settings, **_LIGHTGBM}, rounds, seeds)
    return Fitted(base, [(1.0 / len(boosters), booster) for booster in boosters])


def _trees(
    problem: Problem, rows: Rows, label: Array, parameters: Parameters, rounds: int, seeds: list[int]
) -> list[lightgbm.Booster]:
    """Grow boosters here, as `Trees` says; LightGBM's binned copy of the rows is made once and shared."""
    data = lightgbm.Dataset(problem.X[rows], label, feature_name=problem.names, params=_LIGHTGBM, free_raw_data=True)
    return [lightgbm.train({**parameters, "seed": seed}, data, rounds) for seed in seeds]


def _hist_gradient_boosting(candidate: HistGradientBoosting, parameters: Parameters, data: Rowset, seed: int) -> Fitted:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    base = _base(candidate, data)
    kind = HistGradientBoostingClassifier if data.problem.classification else HistGradientBoostingRegressor
    estimator = kind(**{"early_stopping": False, **parameters}, random_state=seed)
    return Fitted(base, estimator=estimator.fit(data.X, data.y - base.predict(data.X)))


def _linear(candidate: Linear, parameters: Parameters, data: Rowset) -> Fitted:
    """Fit ridge or logistic regression on standardised features, missing ones at their mean; `alpha` is the penalty."""
    from sklearn.linear_model import LogisticRegression, Ridge

    base = _base(candidate, data)
    X = np.where(np.isfinite(data.X), data.X, base.fill)
    scale = X.std(axis=0)
    scale[scale < 1e-12] = 1.0
    Z = (X - base.fill) / scale
    settings = dict(parameters)
    alpha = float(settings.pop("alpha", 1.0))
    if data.problem.classification:
        model = LogisticRegression(C=1.0 / alpha, max_iter=500, **settings).fit(Z, data.y)
    else:
        model = Ridge(alpha=alpha, solver="cholesky", **settings).fit(Z, data.y - base.predict(data.X))
    coefficients = np.ravel(model.coef_) / scale
    intercept = float(np.ravel(model.intercept_)[0] - coefficients @ base.fill)
    return Fitted(base.plus(LinearPart(intercept, coefficients, base.fill)))


def loss(metric: str) -> Callable[[Array, Array, bool], float]:
    """Return the metric by name: a function of the truth, the raw prediction, and whether that is in log-odds."""
    return {"rmse": _rmse, "mae": _mae, "log_loss": _log_loss}[metric]


def _rmse(y: Array, raw: Array, classification: bool) -> float:
    return float(np.sqrt(np.mean((_value(raw, classification) - y) ** 2)))


def _mae(y: Array, raw: Array, classification: bool) -> float:
    return float(np.mean(np.abs(_value(raw, classification) - y)))


def _log_loss(y: Array, raw: Array, classification: bool) -> float:
    if not classification:
        raise TrainingError("training.choose.metric: log_loss belongs to a classification; use rmse or mae")
    return float(np.mean(np.logaddexp(0.0, raw) - y * raw))


def _value(raw: Array, classification: bool) -> Array:
    return probability(raw) if classification else raw
