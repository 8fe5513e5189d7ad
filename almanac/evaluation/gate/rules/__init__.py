"""Rules of the gate, one module a rule: its declaration in the use case file, and its checks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from almanac.evaluation.gate.check import Check
from almanac.usecase import UseCase
from almanac.usecase.training_section import GateRuleBase, Target

__all__ = ["Candidate", "GateRule", "Metrics"]

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """The new model of one target.

    Attributes:
        usecase: the use case.
        target: the target.
        metrics: metrics.json of the new models of all targets.
        registered: metrics.json of the models in production; None if there are none.
    """

    usecase: UseCase
    target: Target
    metrics: Metrics
    registered: Metrics | None

    @property
    def entry(self) -> Metrics:
        """The target's metrics; empty if they are missing."""
        return self.entry_of(self.metrics)

    @property
    def classification(self) -> bool:
        """Whether the target is a probability."""
        return self.target.task == "classification"

    def entry_of(self, metrics: Metrics) -> Metrics:
        """Return the target's entry in a metrics.json; empty if it is missing."""
        targets = metrics.get("targets")
        entry = targets.get(self.target.name) if isinstance(targets, Mapping) else None
        return entry if isinstance(entry, Mapping) else {}

    def error(self, metric: str) -> str:
        """Return the error metric that stands for `metric` in the target's task: a probability has no RMSE."""
        if self.classification:
            return "log_loss"
        return "rmse" if metric == "log_loss" else metric


@dataclass(frozen=True)
class GateRule:
    """A rule of the gate.

    Attributes:
        name: the `rule` by which a use case asks for it.
        declaration: its section of the use case file, with `rule: Literal[name]`.
        checks: takes a declared rule and the new model of one target; yields the checks, none for a target that
            the rule does not concern.
        problems: takes a declared rule and its use case; yields "field: message" for each field that refers to a
            part of the use case that does not exist.
    """

    name: str
    declaration: type[GateRuleBase]
    checks: Callable[[Any, Candidate], Iterator[Check]]
    problems: Callable[[Any, UseCase], Iterator[str]] | None = None
