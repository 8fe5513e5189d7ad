"""Tuning of all candidates of all targets in parallel, and selection of one for each target by the use case's rule."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError
from almanac.model.offset import probability
from almanac.training.blending import weigh
from almanac.training.candidates import candidate_kind
from almanac.training.choice import Contender, best, rule_of
from almanac.training.fit import fit
from almanac.training.fitted_model import AdditiveModel, FittedModel, combine
from almanac.training.folds import Fold, fold_weights, make_folds
from almanac.training.losses import loss
from almanac.training.panel_loss import median_mase
from almanac.training.problem import Problem, TrainingRows
from almanac.training.standard_error import standard_error
from almanac.training.tuning import Tuned, Tuning, trials_planned, tune
from almanac.usecase import UseCase
from almanac.usecase.training_section import Blend, Learner

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Selection:
    """The comparison of a target's candidates, and the chosen one.

    Attributes:
        problem: the target's learning problem.
        folds: the folds.
        tuned: each candidate at its best parameters, by name.
        contenders: the candidates and blends that were compared.
        baselines: losses of the baselines on the folds, by name.
        rows: number of rows on which the losses were computed.
        chosen: the chosen contender.
        rule: the rule by which it was chosen, in words.
    """

    problem: Problem
    folds: list[Fold]
    tuned: dict[str, Tuned]
    contenders: list[Contender]
    baselines: dict[str, list[float]]
    rows: int
    chosen: Contender
    rule: str


def select(usecase: UseCase, problems: list[Problem], progress: Progress) -> list[Selection]:
    """Tune every candidate on every problem and choose one for each.

    Jobs run in `training.threads` threads; each is single-threaded and has its own seed, so that no result depends on
    how many run at once.
    """
    learners = _learners(usecase)
    if not learners:
        raise TrainingError("training.candidates: name at least one candidate that is not a blend")
    deadline = time.monotonic() + usecase.training.budget.seconds * len(problems)
    counter = _Counter(progress)
    tasks = [_task(usecase, replace(problem, report=counter.say), deadline) for problem in problems]
    jobs = [(task, one) for one in learners for task in tasks if one.competes(task.problem.target.name)]
    # A long job that starts last would leave the other cores idle.
    jobs.sort(key=lambda job: -candidate_kind(job[1]).cost)
    counter.total = sum(trials_planned(usecase, candidate) for _, candidate in jobs)
    with ThreadPoolExecutor(usecase.training.threads) as pool:
        futures = [(task, pool.submit(tune, task, candidate, counter.ended)) for task, candidate in jobs]
        # In the order of the jobs and not in that of their ends, so that the record does not depend on timing.
        results = [(task, future.result()) for task, future in futures]
    # By identity: an equality of tasks would compare their arrays.
    return [_choose(task, [tuned for other, tuned in results if other is task]) for task in tasks]


def refit(usecase: UseCase, selections: list[Selection]) -> list[FittedModel]:
    """Return each chosen model fitted to the whole training span."""
    learners = {candidate.name: candidate for candidate in _learners(usecase)}

    def fit_one(selection: Selection, name: str) -> FittedModel:
        data = TrainingRows(selection.problem, np.flatnonzero(selection.problem.known))
        return fit(learners[name], selection.tuned[name].parameters, data, usecase.training.seed)

    with ThreadPoolExecutor(usecase.training.threads) as pool:
        futures = [
            [(weight, pool.submit(fit_one, selection, name)) for name, weight in selection.chosen.weights.items()]
            for selection in selections
        ]
        return [_combined([(weight, future.result()) for weight, future in models]) for models in futures]


def _learners(usecase: UseCase) -> list[Learner]:
    return [candidate for candidate in usecase.training.candidates if isinstance(candidate, Learner)]


def _combined(models: list[tuple[float, FittedModel]]) -> FittedModel:
    if len(models) == 1 and models[0][0] == 1.0:
        return models[0][1]
    # The rules of a use case let a blend name blendable kinds only.
    return combine(cast(list[tuple[float, AdditiveModel]], models))


def _task(usecase: UseCase, problem: Problem, deadline: float) -> Tuning:
    folds = make_folds(usecase, problem)
    # Baselines and candidates are compared on the same rows, which are those where every baseline has a value.
    comparable = np.all([np.isfinite(values) for values in problem.baselines.values()], axis=0)
    compared = [comparable[fold.valid] for fold in folds]
    # A fold that no baseline can predict still compares the candidates.
    if not all(keep.any() for keep in compared):
        compared = [np.ones(fold.valid.size, dtype=np.bool_) for fold in folds]
    return Tuning(usecase, problem, folds, compared, deadline)


class _Counter:
    """Progress of all trials, which end in several threads at once."""

    def __init__(self, progress: Progress) -> None:
        self.total, self._done = 0, 0
        self._progress, self._lock = progress, threading.Lock()

    def ended(self, text: str) -> None:
        """Count a trial."""
        with self._lock:
            self._done += 1
            self._progress(self._done, self.total, text)

    def say(self, text: str) -> None:
        """Report the progress within a trial."""
        with self._lock:
            self._progress(self._done, self.total, text)


def _choose(task: Tuning, tuned: list[Tuned]) -> Selection:
    by_name = {one.name: one for one in tuned}
    contenders = [_tuned(task, one) for one in tuned]
    blends = {one.name: one.of for one in task.settings.candidates if isinstance(one, Blend)}
    # Of the candidates that compete for this target; one alone is no blend.
    members = {name: [by_name[other] for other in of if other in by_name] for name, of in blends.items()}
    contenders += [_blended(task, name, parts) for name, parts in members.items() if len(parts) > 1]
    if task.settings.choose.then is not None:
        contenders = [replace(c, mase_median=median_mase(task.problem, task.folds, c.raw)) for c in contenders]
    if task.settings.choose.standard_errors:
        least = min(contenders, key=lambda contender: contender.loss)
        contenders = [replace(c, noise=standard_error(task, c.raw, least.raw)) for c in contenders]
    return Selection(
        problem=task.problem,
        folds=task.folds,
        tuned=by_name,
        contenders=contenders,
        baselines={} if task.problem.classification else _baselines(task),
        rows=int(sum(keep.sum() for keep in task.compared)),
        chosen=(chosen := best(contenders, task.settings.choose)),
        rule=rule_of(contenders, chosen, task.settings.choose, task.metric),
    )


def _tuned(task: Tuning, one: Tuned) -> Contender:
    raw = np.concatenate(one.raw)
    return Contender(one.name, one.losses, one.loss, raw, {one.name: 1.0}, _bias(task, raw))


def _bias(task: Tuning, raw: Array) -> float:
    """Return the mean error of out-of-fold raw predictions as a share of its root mean square."""
    y = np.concatenate([task.problem.y[fold.valid] for fold in task.folds])
    error = (probability(raw) if task.problem.classification else raw) - y
    size = float(np.sqrt(np.mean(error**2)))
    return float(error.mean()) / size if size else 0.0


def _blended(task: Tuning, name: str, members: list[Tuned]) -> Contender:
    """Weigh the members on all folds, as much as each counts; a fold's loss uses the weights of the other folds."""
    y = [task.problem.y[fold.valid] for fold in task.folds]
    raw = [np.column_stack([member.raw[k] for member in members]) for k in range(len(task.folds))]
    binary, metric = task.problem.classification, loss(task.metric, task.problem.target.scale)
    counts = fold_weights(task.folds)

    def fitted(folds: list[int]) -> Array:
        shares = np.concatenate([np.full(y[j].size, counts[j] / y[j].size) for j in folds])
        members_raw = np.concatenate([raw[j] for j in folds])
        return weigh(np.concatenate([y[j] for j in folds]), members_raw, binary, shares / shares.sum())

    losses = []
    for k, keep in enumerate(task.compared):
        # Weights that had seen the fold would make the blend look better than its members.
        weights = fitted([j for j in range(len(task.folds)) if j != k])
        losses.append(metric(y[k][keep], (raw[k] @ weights)[keep], binary))
    weights = fitted(list(range(len(task.folds))))
    kept = {member.name: float(w) for member, w in zip(members, weights, strict=True) if w}
    mixed = np.concatenate(raw) @ weights
    return Contender(name, losses, task.mean(losses), mixed, kept, _bias(task, mixed))


def _baselines(task: Tuning) -> dict[str, list[float]]:
    """Return the loss of each baseline on each fold's compared rows."""
    metric, y = loss(task.metric, task.problem.target.scale), task.problem.y
    rows = [fold.valid[keep] for fold, keep in zip(task.folds, task.compared, strict=True)]
    losses = {name: [metric(y[r], values[r], False) for r in rows] for name, values in task.problem.baselines.items()}
    # Where all rows are compared, a baseline may lack a value for some of them.
    return {name: values for name, values in losses.items() if np.isfinite(values).all()}
