"""A deployment by canary: the new version gets a share of the requests until a verdict promotes it or takes it back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubernetes import client

from almanac.core.errors import DeploymentError, GateError
from almanac.usecase import UseCase
from governance.registration import actor
from governance.registry import Registry
from governance.registry.stages import may_promote
from governance.registry.state import Version
from serving.deploy.apply import Check, apply_and_wait, sendable
from serving.deploy.canary import with_canary
from serving.deploy.kube import Kube
from serving.deploy.manifests import VERSION
from serving.deploy.verdict import Verdict, await_verdict


@dataclass(frozen=True)
class Trial:
    """The conditions of a canary.

    Attributes:
        percent: Share of the requests that the new version gets.
        patience: Seconds to wait for a verdict.
        timeout: Seconds in which the pods of each rollout must be ready.
        interval: Seconds between two looks at the pods.
    """

    percent: int
    patience: float
    timeout: float = 600
    interval: float = 5


def running_service(kube: Kube, objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the InferenceService that runs, in the form in which it can be applied.

    Raises:
        DeploymentError: there is none.
    """
    service = next(item for item in objects if item["kind"] == "InferenceService")
    found = kube.get(service)
    if found is None:
        raise DeploymentError(
            f"{service['metadata']['namespace']}: nothing runs that a canary could be compared with; deploy without it"
        )
    return sendable(found)


def deploy_by_canary(
    usecase: UseCase,
    registry_url: str,
    objects: list[dict[str, Any]],
    api: client.ApiClient,
    trial: Trial,
    checks: tuple[Check, Check],
    report: Callable[[str], None],
) -> None:
    """Give a version a share of the requests of the one that runs, await the verdict, and act by it.

    A verdict for it promotes it in the registry, unless it is in production, and rolls it out. One against it, or none
    in time, gives the running version all requests back; if the new one was in production, the one before is again.

    Args:
        usecase: the use case.
        registry_url: address of the registry.
        objects: the objects of the new version.
        api: the cluster.
        trial: share and times.
        checks: tests of the running version and of the new one, once their pods are ready.
        report: called with a line on each step.

    Raises:
        RegistryError: the new version may not be promoted; nothing was changed.
        GateError: the verdict was against it, or there was none.
        DeploymentError: a rollout failed, and was undone.
    """
    kube, registry = Kube(api), Registry(registry_url)
    running = running_service(kube, objects)
    new = next(item for item in objects if item["kind"] == "InferenceService")
    number = int(new["metadata"]["annotations"][VERSION])
    entry = registry.version(usecase.name, number)
    # Before anybody gets its forecasts: a version that lacks an approval has none of its requests either.
    may_promote(registry.state(usecase.name), entry, "production")
    service = with_canary(running, new, trial.percent)
    apply_and_wait([service], api, trial.timeout, trial.interval, checks[0])
    report(f"version {number} has {trial.percent}% of the requests")

    def give_back() -> None:
        apply_and_wait([running], api, trial.timeout, trial.interval)

    try:
        found = _verdict_on(usecase.name, entry, service, kube, registry, trial, report)
    except BaseException:
        give_back()
        raise
    if found.state != "promote":
        give_back()
        raise GateError(f"{_refusal(number, found, trial)}; {_back(registry, usecase, number, running)}")
    report(f"version {number} kept every bound and is in production; it is rolled out")
    try:
        apply_and_wait(objects, api, trial.timeout, trial.interval, checks[1])
    except DeploymentError as error:
        # What was undone is the service with its canary.
        give_back()
        raise DeploymentError(f"{error}; {_back(registry, usecase, number, running)}") from None


def _verdict_on(
    use_case: str,
    entry: Version,
    service: dict[str, Any],
    kube: Kube,
    registry: Registry,
    trial: Trial,
    report: Callable[[str], None],
) -> Verdict:
    """Await the verdict on a canary; one for it promotes its version, unless that is in production."""

    def show(seen: Verdict) -> None:
        report(f"  {seen}")

    found = await_verdict(kube, service, str(entry.number), trial.patience, trial.interval, show)
    if found.state == "promote" and entry.stage != "production":
        # The version may have been rejected since, and would otherwise keep its share.
        registry.promote(use_case, entry.number, who=actor(), why=f"its canary kept every bound: {found}")
    return found


def _refusal(number: int, found: Verdict, trial: Trial) -> str:
    if found.state == "failed":
        return f"version {number} broke a bound as a canary: {found}"
    return f"version {number} got no verdict within {trial.patience:g} s: {found}"


def _back(registry: Registry, usecase: UseCase, number: int, running: dict[str, Any]) -> str:
    """Put the running version into production again where it is not, and return the outcome in words."""
    version = running["metadata"]["annotations"][VERSION]
    current = registry.current(usecase.name)
    if current is not None and current.number == number:
        earlier = registry.rollback(usecase.name, who=actor(), why=f"version {number} was not rolled out")
        return f"version {version} has all requests back, and version {earlier} is in production again"
    return f"version {version} has all requests back"
