"""The verdict on a canary, as the metrics of its pods show it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client.parser import text_string_to_metric_families

from almanac.core.errors import DeploymentError
from monitoring.metrics import CANARY_EXCESS, CANARY_STATE
from serving.deploy.kube import Kube
from serving.deploy.rollout import ready_pods

_PORT = 8080
State = Literal["running", "promote", "failed"]


@dataclass(frozen=True)
class Verdict:
    """The state of a canary.

    Attributes:
        state: running, promote where a pod proposes it and none objects, or failed where a pod found a bound broken.
        pods: number of pods that were asked and have the canary.
        excess: the least and the largest excess over its bound of each measure, that any pod is sure of.
    """

    state: State
    pods: int
    excess: dict[str, tuple[float, float]]

    def __str__(self) -> str:
        """Return the verdict in words."""
        shown = [f"{name} {low:+.3g} to {high:+.3g}" for name, (low, high) in sorted(self.excess.items())]
        evidence = f"; excess over the bound: {', '.join(shown)}" if shown else "; no evidence yet"
        return f"{self.state} in {self.pods} pod{'s' * (self.pods != 1)}{evidence}"


def verdict(pages: list[str], version: str) -> Verdict:
    """Return the verdict on a version from the metrics of its pods.

    Args:
        pages: what each pod answers on /metrics.
        version: the new version.
    """
    found = [_read(page, version) for page in pages]
    states = [state for state, _ in found if state]
    decided: State = "failed" if "failed" in states else "promote" if "promote" in states else "running"
    excess: dict[str, tuple[float, float]] = {}
    for _, measures in found:
        for name, (low, high) in measures.items():
            before = excess.get(name, (low, high))
            # Each interval holds the truth, so their intersection does.
            excess[name] = (max(before[0], low), min(before[1], high))
    return Verdict(decided, len(states), excess)


def await_verdict(
    kube: Kube,
    service: dict[str, Any],
    version: str,
    timeout: float,
    interval: float,
    report: Callable[[Verdict], None],
) -> Verdict:
    """Return the verdict on a canary, or its last state when time is up.

    Args:
        kube: the cluster.
        service: the InferenceService with the canary, as it was applied.
        version: the new version.
        timeout: seconds to wait for a verdict.
        interval: seconds between two looks.
        report: called with each look whose state or evidence is new.

    Raises:
        DeploymentError: no pod has the canary when time is up.
    """
    deadline, last = time.monotonic() + timeout, Verdict("running", 0, {})
    while True:
        seen = verdict(_pages(kube, service), version)
        if seen != last:
            report(seen)
        # Pods that cannot be asked for once take nothing back.
        last = seen if seen.pods else last
        if last.state != "running":
            return last
        if time.monotonic() > deadline:
            if not last.pods:
                raise DeploymentError(f"no pod of {service['metadata']['name']} reports a canary of version {version}")
            return last
        time.sleep(interval)


def _pages(kube: Kube, service: dict[str, Any]) -> list[str]:
    namespace, pages = service["metadata"]["namespace"], []
    try:
        for pod in ready_pods(kube, service):
            pages.append(kube.page(namespace, pod, _PORT, "/metrics"))
    except DeploymentError as error:  # a pod that has just gone, or an API server that is down for a moment
        print(f"warning: {error}", flush=True)
    return pages


def _read(page: str, version: str) -> tuple[str | None, dict[str, tuple[float, float]]]:
    """Return the canary's state in one pod, and the interval of each measure's excess; no state where it has none."""
    state: str | None = None
    ends: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.labels.get("version") != version:
                continue
            if sample.name == CANARY_STATE.name and sample.value == 1:
                state = sample.labels["state"]
            elif sample.name == CANARY_EXCESS.name:
                ends.setdefault(sample.labels["measure"], {})[sample.labels["end"]] = sample.value
    measures = {name: (one["low"], one["high"]) for name, one in ends.items() if {"low", "high"} <= one.keys()}
    return state, measures
