"""A canary: a new version gets a growing share of the requests, and is compared with the running one.

States: running -> promote (it keeps its bounds: promotion is proposed) -> promoted (the registry made it the primary
version), or running -> failed (a bound is broken: the running version has all requests back), or ended by order.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from serving.prediction.confidence_sequence import Comparison, Interval

if TYPE_CHECKING:
    # The settings take their bounds from here, and a command on keys loads no model.
    from almanac.model.bundle import Bundle

State = Literal["running", "promote", "failed", "promoted", "ended"]
STATES: tuple[State, ...] = ("running", "promote", "failed", "promoted", "ended")
#: Shares of the requests in percent, one after the other.
STEPS = (5, 25, 50, 100)
#: Failures are between 0 and 1, so that their difference is sub-Gaussian with this deviation (Hoeffding's lemma).
_FAILURE_DEVIATION = 1.0
_LOG = logging.getLogger("almanac.serving")


@dataclass(frozen=True, slots=True)
class CanaryBounds:
    """Bounds of a new version.

    Attributes:
        error: its mean error may be so much larger, as a share.
        latency: its typical time for an answer, too.
        failures: so many more of its answers, as a share of them, may be errors of the server.
        alpha: chance that any of its bounds is ever judged wrongly.
        advance: differences in each measure after which it gets the next share by itself; 0 for by order only.
    """

    error: float = 0.05
    latency: float = 0.25
    failures: float = 0.01
    alpha: float = 0.05
    advance: int = 0


class Canary:
    """The comparison of a new version of a use case with the running one.

    Args:
        running: the running version.
        new: the new one.
        percent: its share of the requests.
        bounds: what it is allowed.
    """

    def __init__(self, running: "Bundle", new: "Bundle", percent: float, bounds: CanaryBounds) -> None:
        self.running, self.new, self.percent = running, new, percent
        self.state: State = "running"
        self.reason = ""
        self._bounds = bounds
        shared = [name for name in new.targets if name in running.targets]
        # Bonferroni: the chance of a wrong verdict is divided between the measures.
        alpha = bounds.alpha / (len(shared) + 2)
        self._squared = {name for name in shared if _is_classification(new, name)}
        self.errors = {name: Comparison(alpha, factor=1 + bounds.error) for name in shared}
        self.latency = Comparison(alpha, margin=math.log(1 + bounds.latency))
        self.failures = Comparison(alpha, margin=bounds.failures, deviation=_FAILURE_DEVIATION)
        self.began = 0
        #: Evidence that other processes have of the same two versions, as `evidence` gives it.
        self.elsewhere: list[dict[str, Any]] = []

    def evidence(self) -> dict[str, Any]:
        """Return the evidence of this process as plain JSON."""
        return {name: comparison.evidence() for name, (comparison, _) in self._own().items()}

    @property
    def active(self) -> bool:
        """Whether the new version still gets requests."""
        return self.state in ("running", "promote")

    def answered(self, version: str, seconds: float, failed: bool) -> None:
        """Take a request that one of the versions answered."""
        second = self._is_second(version)
        if second is None:
            return
        self.failures.add(second, float(failed))
        if not failed:
            # Logarithms: single long waits, as of a busy machine, would hide everything else in a mean.
            self.latency.add(second, math.log(max(seconds, 1e-6)))

    def observed(self, target: str, version: str, error: float) -> None:
        """Take the error of a prediction whose observed value is known."""
        second = self._is_second(version)
        if second is not None and target in self.errors:
            self.errors[target].add(second, error * error if target in self._squared else abs(error))

    def judge(self) -> State:
        """Return the state after looking at the evidence."""
        if not self.active:
            return self.state
        measures = self._measures()
        broken = [name for name, (comparison, _) in measures.items() if comparison.excess.low > 0]
        if broken:
            self.state, self.reason = "failed", f"{', '.join(broken)} beyond the bound"
            _LOG.warning("version %s of %s: %s", self.new.version, self.new.use_case, self.reason)
        elif all(comparison.excess.high < 0 for comparison, decides in measures.values() if decides):
            self.state, self.reason = "promote", "every measure is within its bound"
        else:
            waiting = [name for name, (one, decides) in measures.items() if decides and one.excess.high >= 0]
            self.state, self.reason = "running", f"not decided: {', '.join(waiting)}"
        return self.state

    def due(self) -> float | None:
        """Return the share to which the new version advances by itself now, or None.

        All requests it gets only once its promotion is proposed: without a neighbour there is nothing to compare.
        """
        following = [step for step in STEPS if step > self.percent]
        if not self._bounds.advance or not following or not self.active:
            return None
        fewest = min(comparison.excess.count for comparison, decides in self._measures().values() if decides)
        if fewest - self.began < self._bounds.advance or (following[0] == 100 and self.state != "promote"):
            return None
        return following[0]

    def move(self, percent: float) -> None:
        """Give the new version another share."""
        self.percent = percent
        self.began = min(comparison.excess.count for comparison, decides in self._measures().values() if decides)

    def end(self, state: State, reason: str) -> None:
        """End it, by an order or a promotion."""
        self.state, self.reason = state, reason

    def describe(self) -> dict[str, Any]:
        """Return the state and the evidence as JSON."""
        return {
            "use_case": self.new.use_case,
            "running_version": self.running.version,
            "new_version": self.new.version,
            "percent": self.percent if self.active else 0,
            "state": self.state,
            "reason": self.reason,
            "measures": {name: _measure(comparison) for name, (comparison, _) in self._measures().items()},
        }

    def each(self, visit: Callable[[str, Interval], None]) -> None:
        """Call `visit` with each measure and its excess over the bound."""
        for name, (comparison, _) in self._measures().items():
            visit(name, comparison.excess)

    def _measures(self) -> dict[str, tuple[Comparison, bool]]:
        """Return the comparisons of all processes by name, each with whether a promotion waits for it."""
        if not self.elsewhere:
            return self._own()
        return {
            name: (one.with_others([part[name] for part in self.elsewhere if name in part]), decides)
            for name, (one, decides) in self._own().items()
        }

    def _own(self) -> dict[str, tuple[Comparison, bool]]:
        errors = {f"error of {name}": (comparison, True) for name, comparison in self.errors.items()}
        # That failures are rare takes a hundred thousand answers to prove, so they can only end a canary.
        return {**errors, "latency": (self.latency, True), "failures": (self.failures, False)}

    def _is_second(self, version: str) -> bool | None:
        """Return whether a version is the new one; None where it is neither, or the other one has no requests."""
        if not self.active:
            return None
        return True if version == self.new.version else False if version == self.running.version else None


def _is_classification(bundle: "Bundle", target: str) -> bool:
    return bool(bundle.targets[target].signature.get("target", {}).get("task") == "classification")


def _measure(comparison: Comparison) -> dict[str, Any]:
    excess, (running, new), counts = comparison.excess, comparison.means, comparison.counts
    return {
        "running_mean": running,
        "new_mean": new,
        "running_count": counts[0],
        "new_count": counts[1],
        # Infinite bounds are no JSON: there is no evidence yet.
        "excess": excess.mean if excess.count else None,
        "excess_low": excess.low if math.isfinite(excess.low) else None,
        "excess_high": excess.high if math.isfinite(excess.high) else None,
        "differences": excess.count,
    }
