"""Tuning of every candidate of every target side by side, and the choice among them by the use case's rule."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.errors import TrainingError
from almanac.training.blending import weigh
from almanac.training.dataset import Problem
from almanac.training.fitted import Array, Fitted, combine
from almanac.training.folds import Fold, make_folds
from almanac.training.learners import Rowset, fit, loss
from almanac.training.tuning import Tuned, Tuning, trials_planned, tune
from almanac.usecase import UseCase
from almanac.usecase.training_section import Blend, Choose

Progress = Callable[[int, int, str], None]

_HEAVIEST_FIRST = {"lightgbm": 0, "hist_gradient_boosting": 1, "linear": 2}


@dataclass(frozen=True)
class Contender:
    """A candidate, or a blend of candidates, as it stands in the comparison.

    Attributes:
        name: the candidate's name.
        losses: loss on each fold, on the same rows for every contender.
        raw: out-of-fold raw predictions, all folds in order.
        weights: weight of each tuned candidate in it.
    """

    name: str
    losses: list[float]
    raw: Array
    weights: dict[str, float]

    @property
    def loss(self) -> float:
        """Mean over the folds."""
        return float(np.mean(self.losses))


@dataclass(frozen=True)
class Selection:
    """The outcome of one target: who was tuned, how all compare, who was chosen."""

    problem: Problem
    folds: list[Fold]
    tuned: dict[str, Tuned]
    contenders: list[Contender]
    baselines: dict[str, list[float]]
    rows: int
    chosen: Contender


def select(usecase: UseCase, problems: list[Problem], progress: Progress) -> list[Selection]:
    """Tune every candidate on every problem and choose one for each.

    Jobs run side by side in as many threads as `training.threads` says; each is single-threaded and seeded by itself,
    so that no result depends on how many run at once.
    """
    learned = [c for c in usecase.training.candidates if not isinstance(c, Blend)]
    if not learned:
        raise TrainingError("training.candidates: name at least one candidate that is not a blend")
    deadline = time.monotonic() + usecase.training.budget.seconds * len(problems)
    tasks = [_task(usecase, problem, deadline) for problem in problems]
    jobs = [(task, candidate) for candidate in learned for task in tasks]
    jobs.sort(key=lambda job: _HEAVIEST_FIRST[job[1].kind])
    tell = _counter(len(tasks) * sum(trials_planned(usecase, candidate) for candidate in learned), progress)
    with ThreadPoolExecutor(usecase.training.threads) as pool:
        futures = [(task, pool.submit(tune, task, candidate, tell)) for task, candidate in jobs]
        results = [(task, future.result()) for task, future in futures]
    return [_choose(task, [tuned for other, tuned in results if other is task]) for task in tasks]


def refit(usecase: UseCase, selections: list[Selection]) -> list[Fitted]:
    """Return each chosen model fitted to the whole training span."""
    candidates = {c.name: c for c in usecase.training.candidates if not isinstance(c, Blend)}
    with ThreadPoolExecutor(usecase.training.threads) as pool:
        parts = [
            [
                (weight, pool.submit(_refit_one, usecase, selection, candidates[name], name))
                for name, weight in selection.chosen.weights.items()
            ]
            for selection in selections
        ]
        return [_combined([(weight, future.result()) for weight, future in models]) for models in parts]


def _refit_one(usecase: UseCase, selection: Selection, candidate: Any, name: str) -> Fitted:
    rows = np.flatnonzero(selection.problem.known)
    return fit(candidate, selection.tuned[name].parameters, Rowset(selection.problem, rows), usecase.training.seed)


def _combined(models: list[tuple[float, Fitted]]) -> Fitted:
    alone = len(models) == 1 and models[0][0] == 1.0
    return models[0][1] if alone else combine(models)


def _task(usecase: UseCase, problem: Problem, deadline: float) -> Tuning:
    folds = make_folds(usecase, problem)
    comparable = np.isfinite(problem.last) & np.isfinite(problem.season)
    judged = [comparable[fold.valid] for fold in folds]
    if not all(keep.any() for keep in judged):
        judged = [np.ones(fold.valid.size, dtype=np.bool_) for fold in folds]
    return Tuning(usecase, problem, folds, judged, deadline)


def _counter(total: int, progress: Progress) -> Callable[[str], None]:
    lock, done = threading.Lock(), [0]

    def tell(text: str) -> None:
        with lock:
            done[0] += 1
            progress(done[0], total, text)

    return tell


def _choose(task: Tuning, tuned: list[Tuned]) -> Selection:
    by_name = {one.name: one for one in tuned}
    contenders = [Contender(one.name, one.losses, np.concatenate(one.raw), {one.name: 1.0}) for one in tuned]
    blends = [candidate for candidate in task.settings.candidates if isinstance(candidate, Blend)]
    contenders += [_blended(task, blend.name, [by_name[name] for name in blend.of]) for blend in blends]
    return Selection(
        problem=task.problem,
        folds=task.folds,
        tuned=by_name,
        contenders=contenders,
        baselines={} if task.problem.classification else _baselines(task),
        rows=int(sum(keep.sum() for keep in task.judged)),
        chosen=best(contenders, task.settings.choose),
    )


def best(contenders: list[Contender], rule: Choose) -> Contender:
    """Return the contender with the smallest loss, or the most preferred one that is within tolerance of it."""
    least = min(contenders, key=lambda contender: contender.loss)
    near = {c.name: c for c in contenders if c.loss <= least.loss * (1.0 + rule.tolerance)}
    return next((near[name] for name in rule.prefer if name in near), least)


def _blended(task: Tuning, name: str, members: list[Tuned]) -> Contender:
    """Weigh the members on all folds, and judge on each fold by the weights that the other folds give."""
    y = [task.problem.y[fold.valid] for fold in task.folds]
    raw = [np.column_stack([member.raw[k] for member in members]) for k in range(len(task.folds))]
    binary, metric = task.problem.classification, loss(task.metric)
    losses = []
    for k, keep in enumerate(task.judged):
        others = [j for j in range(len(task.folds)) if j != k]
        weights = weigh(np.concatenate([y[j] for j in others]), np.concatenate([raw[j] for j in others]), binary)
        losses.append(metric(y[k][keep], (raw[k] @ weights)[keep], binary))
    weights = weigh(np.concatenate(y), np.concatenate(raw), binary)
    kept = {member.name: float(w) for member, w in zip(members, weights, strict=True) if w}
    return Contender(name, losses, np.concatenate(raw) @ weights, kept)


def _baselines(task: Tuning) -> dict[str, list[float]]:
    """Return the loss of the persistence and the seasonal baseline on each fold's compared rows."""
    metric = loss(task.metric)

    def judged(values: npt.NDArray[np.float64]) -> list[float]:
        rows = [fold.valid[keep] for fold, keep in zip(task.folds, task.judged, strict=True)]
        return [metric(task.problem.y[r], values[r], False) for r in rows]

    found = {"persistence": judged(task.problem.last), "seasonal": judged(task.problem.season)}
    return {name: losses for name, losses in found.items() if np.isfinite(losses).all()}
