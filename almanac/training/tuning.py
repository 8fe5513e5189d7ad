"""Tuning: Optuna's TPE over each candidate's search space, on the same folds, with pruning between folds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, assert_never

import numpy as np
import optuna

from almanac.core.arrays import Array, Mask
from almanac.training.fit import fit
from almanac.training.folds import Fold, fold_weights
from almanac.training.losses import loss
from almanac.training.problem import Problem, TrainingRows
from almanac.usecase import UseCase
from almanac.usecase.training_section import Choice, FloatRange, IntegerRange, Learner, Search, Training

Parameters = dict[str, Any]
Report = Callable[[str], None]

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass
class Trial:
    """A set of parameters and its losses."""

    parameters: Parameters
    losses: list[float]
    state: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the trial for tuning.json; without the seconds, which differ from run to run."""
        return {"parameters": self.parameters, "losses": self.losses, "state": self.state}


@dataclass
class Tuned:
    """A candidate at its best parameters.

    Attributes:
        name: the candidate's name.
        parameters: the best trial's, fixed ones included.
        losses: the best trial's loss on each fold.
        loss: their weighted mean, see `folds.fold_weights`.
        raw: its out-of-fold raw predictions, a fold at a time, aligned with each fold's validation rows.
        trials: every trial in order.
        stopped: the budget that ended the tuning, trials or seconds.
    """

    name: str
    parameters: Parameters
    losses: list[float]
    loss: float
    raw: list[Array]
    trials: list[Trial] = field(default_factory=list)
    stopped: str = "trials"


@dataclass
class Tuning:
    """The data and settings that all trials of a target share.

    Attributes:
        usecase: the use case.
        problem: the target's learning problem.
        folds: the folds.
        compared: for each fold the mask of the validation rows on which losses are computed.
        deadline: end of the time budget on the monotonic clock.
    """

    usecase: UseCase
    problem: Problem
    folds: list[Fold]
    compared: list[Mask]
    deadline: float

    def mean(self, losses: list[float]) -> float:
        """Return the mean of the losses on the first folds, weighted by how much each fold counts."""
        return float(np.average(losses, weights=fold_weights(self.folds)[: len(losses)]))

    @property
    def settings(self) -> Training:
        """Section `training` of the use case."""
        return self.usecase.training

    @property
    def metric(self) -> str:
        """Name of the metric that compares the target's candidates."""
        return self.settings.choose.metric_of(self.problem.target)


def tune(task: Tuning, candidate: Learner, report: Report) -> Tuned:
    """Return the candidate at the best parameters that the budget finds.

    The first trials take `start`; a trial whose mean loss so far is worse than the median of the earlier ones' at the
    same fold is pruned. `report` is called after every trial with a line for people.
    """
    settings = task.settings
    budget = trials_planned(task.usecase, candidate)
    study = optuna.create_study(
        # Two random trials only: budgets are small, and `start` usually names good first values.
        sampler=optuna.samplers.TPESampler(seed=settings.seed, n_startup_trials=2),
        # One start-up trial, so that the first is never pruned and `best` always has a value.
        pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0),
    )
    for start in [candidate.start] if isinstance(candidate.start, dict) else candidate.start:
        if start:
            study.enqueue_trial(dict(start))
    best: Tuned | None = None
    trials: list[Trial] = []
    # One complete trial is needed whatever time it takes, since there would be nothing to choose.
    while len(trials) < budget and (best is None or time.monotonic() < task.deadline):
        trial, raw = _run(task, candidate, study)
        trials.append(trial)
        if trial.state == "complete" and (best is None or task.mean(trial.losses) < best.loss):
            best = Tuned(candidate.name, trial.parameters, trial.losses, task.mean(trial.losses), raw)
        report(f"{task.problem.target.name} {candidate.name} trial {len(trials)}/{budget}: {_described(trial, task)}")
    assert best is not None  # the first trial is never pruned
    best.trials = trials
    best.stopped = "trials" if len(trials) == budget else "seconds"
    return best


def trials_planned(usecase: UseCase, candidate: Learner) -> int:
    """Return the maximum number of trials of a candidate: one where there is nothing to search."""
    return (candidate.trials or usecase.training.budget.trials) if candidate.search else 1


def _run(task: Tuning, candidate: Learner, study: optuna.Study) -> tuple[Trial, list[Array]]:
    started = time.monotonic()
    suggested = study.ask()
    parameters = {**candidate.fixed, **{name: _suggest(suggested, name, s) for name, s in candidate.search.items()}}
    losses: list[float] = []
    raw: list[Array] = []
    for step, fold in enumerate(task.folds):
        raw.append(_out_of_fold(task, candidate, parameters, fold))
        losses.append(_loss(task, step, raw[-1]))
        suggested.report(task.mean(losses), step)
        # After the last fold nothing is saved by pruning.
        if step + 1 < len(task.folds) and suggested.should_prune():
            study.tell(suggested, state=optuna.trial.TrialState.PRUNED)
            return Trial(parameters, losses, "pruned", time.monotonic() - started), raw
    study.tell(suggested, task.mean(losses))
    return Trial(parameters, losses, "complete", time.monotonic() - started), raw


def _out_of_fold(task: Tuning, candidate: Learner, parameters: Parameters, fold: Fold) -> Array:
    model = fit(candidate, parameters, TrainingRows(task.problem, fold.train), task.settings.seed)
    return model.raw(task.problem, fold.valid)


def _loss(task: Tuning, step: int, raw: Array) -> float:
    keep, metric = task.compared[step], loss(task.metric, task.problem.target.scale)
    return metric(task.problem.y[task.folds[step].valid][keep], raw[keep], task.problem.classification)


def _suggest(trial: optuna.Trial, name: str, search: Search) -> Any:
    match search:
        case IntegerRange():
            return trial.suggest_int(name, search.low, search.high, log=search.log)
        case FloatRange():
            return trial.suggest_float(name, search.low, search.high, log=search.log)
        case Choice():
            return trial.suggest_categorical(name, search.values)
        case _:
            assert_never(search)


def _described(trial: Trial, task: Tuning) -> str:
    outcome = "" if trial.state == "complete" else ", pruned"
    return f"{task.metric} {task.mean(trial.losses):.3f}{outcome} ({trial.seconds:.1f} s)"
