"""The gate's rules: what each looks at, and what it asks for.

A rule yields one check for each figure that it judges. A figure that is missing or not a finite number fails its
check, so that a gate never opens for want of evidence.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from almanac.usecase import UseCase
from almanac.usecase.training_section import (
    BeatsBaselines,
    CoverageWithin,
    GateRule,
    MaxDisparity,
    MaxError,
    NotWorse,
)

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One figure against what a rule asks for.

    Attributes:
        rule: the rule's name in the use case.
        target: whose figure.
        figure: what is looked at, in words.
        observed: the figure; None where it is missing.
        required: the bound; None where it is missing.
        side: +1 if the figure must be at least the bound, -1 if at most.
        strict: whether the bound itself fails.
        vacuous: why there is nothing to compare with, which passes; None otherwise.
    """

    rule: str
    target: str
    figure: str
    observed: float | None
    required: float | None
    side: int = -1
    strict: bool = False
    vacuous: str | None = None

    @property
    def margin(self) -> float | None:
        """How far inside the bound the figure lies; negative outside; None where something is missing."""
        if self.observed is None or self.required is None:
            return None
        return self.side * (self.observed - self.required)

    @property
    def bound(self) -> str:
        """On which side of what is required the figure must lie: >, ≥, < or ≤."""
        return (">" if self.strict else "≥") if self.side > 0 else ("<" if self.strict else "≤")

    @property
    def passed(self) -> bool:
        """Whether the check holds."""
        if self.vacuous is not None:
            return True
        return self.margin is not None and (self.margin > 0 if self.strict else self.margin >= 0)

    def message(self) -> str:
        """Return the check in a sentence."""
        head = f"{self.rule}, {self.target}: {self.figure}"
        if self.vacuous is not None:
            return f"{head}: {self.vacuous}"
        if self.observed is None or self.required is None or self.margin is None:
            return f"{head} is missing or not a finite number, which closes the gate"
        bound = ("above" if self.strict else "at least") if self.side > 0 else ("below" if self.strict else "at most")
        verdict = "by" if self.passed else "missed by"
        return f"{head} is {self.observed:.4g}, must be {bound} {self.required:.4g}: {verdict} {abs(self.margin):.4g}"

    def to_json(self) -> dict[str, Any]:
        """Return the check as gate.json holds it."""
        return {
            "rule": self.rule,
            "target": self.target,
            "figure": self.figure,
            "passed": self.passed,
            "observed": self.observed,
            "bound": self.bound,
            "required": self.required,
            "margin": self.margin,
            "message": self.message(),
        }


def checks(rule: GateRule, usecase: UseCase, metrics: Metrics, registered: Metrics | None) -> Iterator[Check]:
    """Yield the checks of one rule over the targets that it is about."""
    for target in usecase.targets:
        entry = _entry(metrics, target.name)
        binary = target.task == "classification"
        match rule:
            case BeatsBaselines():
                yield from _beats_baselines(rule, target.name, entry, binary)
            case NotWorse():
                yield _not_worse(rule, target.name, entry, registered, binary)
            case CoverageWithin():
                if not binary:
                    yield from _coverage(rule, target.name, entry, usecase)
            case MaxDisparity():
                if not binary:
                    yield _disparity(rule, target.name, entry)
            case MaxError():
                if rule.target == target.name:
                    yield Check(rule.rule, target.name, rule.metric, number(entry, rule.metric), rule.value)
            case _:
                assert_never(rule)


def number(document: Any, *path: str) -> float | None:
    """Return the finite number at a path of keys; None for anything else."""
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    if isinstance(document, bool) or not isinstance(document, int | float) or not math.isfinite(document):
        return None
    return float(document)


def _beats_baselines(rule: BeatsBaselines, target: str, entry: Metrics, binary: bool) -> Iterator[Check]:
    metric = _metric(rule.metric, binary)
    skills = entry.get("skill")
    for name in ("persistence", "seasonal"):
        skill = skills.get(name) if isinstance(skills, Mapping) else None
        low = _low(skill, metric)
        figure = f"lower end of the {metric} skill against {name}"
        yield Check(rule.rule, target, figure, low, 0.0, side=1, strict=True)


def _low(skill: Any, metric: str) -> float | None:
    intervals = skill.get("cis") if isinstance(skill, Mapping) else None
    ends = intervals.get(metric) if isinstance(intervals, Mapping) else None
    return number({"low": ends[0]}, "low") if isinstance(ends, list) and len(ends) == 2 else None


def _not_worse(rule: NotWorse, target: str, entry: Metrics, registered: Metrics | None, binary: bool) -> Check:
    metric = _metric(rule.metric, binary)
    figure = f"{metric} beside the registered model's"
    if registered is None:
        return Check(rule.rule, target, figure, None, None, vacuous="no model is registered yet")
    theirs = registered.get("targets")
    if isinstance(theirs, Mapping) and theirs and target not in theirs:
        return Check(rule.rule, target, figure, None, None, vacuous="the registered model has no such target")
    bound = number(_entry(registered, target), metric)
    required = None if bound is None else bound * (1.0 + rule.tolerance)
    return Check(rule.rule, target, figure, number(entry, metric), required)


def _coverage(rule: CoverageWithin, target: str, entry: Metrics, usecase: UseCase) -> Iterator[Check]:
    nominal = usecase.training.intervals.level
    places: dict[str, tuple[str, ...]] = {"overall": ("coverage", "overall")}
    if rule.bands:
        bands = entry.get("coverage", {}).get("bands") if isinstance(entry.get("coverage"), Mapping) else None
        names = list(bands) if isinstance(bands, Mapping) and bands else ["(no bands)"]
        places |= {f"in the band {name}": ("coverage", "bands", name) for name in names}
    for where, path in places.items():
        observed = number(entry, *path)
        distance = None if observed is None else abs(observed - nominal)
        figure = f"distance of the coverage {where} from {nominal:g}"
        yield Check(rule.rule, target, figure, distance, rule.within)


def _disparity(rule: MaxDisparity, target: str, entry: Metrics) -> Check:
    figure = f"{rule.metric} of the worst {rule.group} over the best"
    return Check(rule.rule, target, figure, number(entry, "disparity", rule.group, rule.metric, "ratio"), rule.ratio)


def _metric(metric: str, binary: bool) -> str:
    """Return the error that a rule for all targets looks at: a probability has no root mean square error of a value."""
    if not binary:
        return "rmse" if metric == "log_loss" else metric
    return "log_loss"


def _entry(metrics: Metrics, target: str) -> Metrics:
    targets = metrics.get("targets")
    entry = targets.get(target) if isinstance(targets, Mapping) else None
    return entry if isinstance(entry, Mapping) else {}
