"""Rules of the gate, one module a rule: its declaration in the use case file, and its checks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from almanac.evaluation.gate.check import Check, number
from almanac.evaluation.gate.evidence import Evidence, JudgedRows, RegisteredModel
from almanac.usecase import UseCase
from almanac.usecase.gate_section import GateRuleBase
from almanac.usecase.training_section import Target

__all__ = ["Candidate", "GateRule", "Metrics"]

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """The new model of one target.

    Attributes:
        usecase: the use case.
        target: the target.
        metrics: metrics.json of the new models of all targets.
        evidence: the scored rows, and the registered model's forecasts for them.
        rate: chance of a false refusal that the rule has for this target; its checks share it in equal parts
            (Bonferroni).
    """

    usecase: UseCase
    target: Target
    metrics: Metrics
    evidence: Evidence
    rate: float = 0.0

    @property
    def entry(self) -> Metrics:
        """The target's metrics; empty if they are missing."""
        targets = self.metrics.get("targets")
        entry = targets.get(self.target.name) if isinstance(targets, Mapping) else None
        return entry if isinstance(entry, Mapping) else {}

    @property
    def rows(self) -> JudgedRows | None:
        """The target's scored rows; None if they are missing."""
        return self.evidence.rows.get(self.target.name)

    @property
    def classification(self) -> bool:
        """Whether the target is a probability."""
        return self.target.task == "classification"

    @property
    def registered(self) -> RegisteredModel | None:
        """The model in production; None where there is none, or none of this target."""
        model = self.evidence.registered
        return model if model is not None and self.target.name in model.targets else None

    def number(self, *path: str) -> float | None:
        """Return the finite number at a path of keys of the target's metrics; None for anything else."""
        return number(self.entry, *path)

    def interval(self, *path: str) -> tuple[float, float] | None:
        """Return the interval at a path of keys; None if it is missing or of another form."""
        document: Any = self.entry
        for key in path:
            document = document.get(key) if isinstance(document, Mapping) else None
        ends = document if isinstance(document, list) and len(document) == 2 else [None, None]
        low, high = (number({"end": end}, "end") for end in ends)
        return None if low is None or high is None else (low, high)

    def error(self, metric: str) -> str:
        """Return the error metric of the target in place of `metric`: a probability has no RMSE."""
        if self.classification:
            return "log_loss"
        if metric == "mae_log" and self.target.scale != "log":
            return "mae"
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
        by_chance: takes a declared rule and the new model of one target; returns whether the rule could refuse it by
            chance. None for a rule that never does, such as a fixed bound. The declaration of any other is a
            `ChanceRule`.
    """

    name: str
    declaration: type[GateRuleBase]
    checks: Callable[[Any, Candidate], Iterator[Check]]
    problems: Callable[[Any, UseCase], Iterator[str]] | None = None
    by_chance: Callable[[Any, Candidate], bool] | None = None
