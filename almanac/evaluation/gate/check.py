"""Checks of the gate: a metric against the bound of a rule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Name of the checks that no use case can leave out, beside those of its rules.
SOUND = "sound"


@dataclass(frozen=True)
class Check:
    """A metric of one target against the bound of a rule.

    Attributes:
        rule: the rule's name in the use case.
        target: the target's name.
        metric: the metric, in words.
        observed: its value; None if it is missing or not finite, which fails the check: a gate never opens for
            want of evidence.
        required: the bound; None if it is missing.
        side: +1 if the metric must be at least the bound, -1 if at most.
        strict: whether a metric equal to the bound fails.
        vacuous: why there is nothing to compare with, which passes; None otherwise.
        note: what the figure rests on, in words.
        evidence: what the figure and the bound were computed from.
    """

    rule: str
    target: str
    metric: str
    observed: float | None
    required: float | None
    side: int = -1
    strict: bool = False
    vacuous: str | None = None
    note: str = ""
    evidence: Mapping[str, Any] | None = None

    @property
    def margin(self) -> float | None:
        """Distance of the metric from the bound, negative on the wrong side; None if either is missing."""
        if self.observed is None or self.required is None:
            return None
        return self.side * (self.observed - self.required)

    @property
    def bound(self) -> str:
        """The relation to `required` that must hold: >, ≥, < or ≤."""
        return (">" if self.strict else "≥") if self.side > 0 else ("<" if self.strict else "≤")

    @property
    def passed(self) -> bool:
        """Whether the check holds."""
        if self.vacuous is not None:
            return True
        return self.margin is not None and (self.margin > 0 if self.strict else self.margin >= 0)

    def message(self) -> str:
        """Return the check in a sentence."""
        head = f"{self.rule}, {self.target}: {self.metric}"
        if self.vacuous is not None:
            return f"{head}: {self.vacuous}"
        if self.observed is None or self.required is None or self.margin is None:
            return f"{head} is missing or not a finite number, which closes the gate"
        bound = ("above" if self.strict else "at least") if self.side > 0 else ("below" if self.strict else "at most")
        verdict = "by" if self.passed else "missed by"
        note = f" ({self.note})" if self.note else ""
        stated = f"is {self.observed:.4g}, must be {bound} {self.required:.4g}: {verdict} {abs(self.margin):.4g}"
        return f"{head} {stated}{note}"

    def to_json(self) -> dict[str, Any]:
        """Return the check as gate.json holds it."""
        return {
            "rule": self.rule,
            "target": self.target,
            # Stored gate.json files have this key, which is older than the word metric.
            "figure": self.metric,
            "passed": self.passed,
            "observed": self.observed,
            "bound": self.bound,
            "required": self.required,
            "margin": self.margin,
            "message": self.message(),
            **({} if self.evidence is None else {"evidence": dict(self.evidence)}),
        }


def number(document: Any, *path: str) -> float | None:
    """Return the finite number at a path of keys; None for anything else."""
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    # A bool is an int to Python.
    if isinstance(document, bool) or not isinstance(document, int | float) or not math.isfinite(document):
        return None
    return float(document)
