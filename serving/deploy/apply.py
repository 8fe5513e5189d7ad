"""Apply objects on a cluster, and roll back if the new version does not become ready."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from kubernetes import client, config

from almanac.core.errors import AlmanacError, DeploymentError
from almanac.core.progress import progress
from serving.deploy.kube import PLURALS, Kube, RefusedError, label
from serving.deploy.manifests import VERSION
from serving.deploy.requirements import require
from serving.deploy.rollout import missing, problems

Check = Callable[[dict[str, Any]], None]
#: Fields that the cluster adds to an object, and that must not be sent back.
_SERVER_FIELDS = (
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "selfLink",
    "finalizers",
    "ownerReferences",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_ORDER = list(PLURALS)
#: Seconds for a rollback, whose pods are still there: a rollout takes none away before the next is ready.
_BACK = 10.0
#: Longest pause between two looks at it.
_BACK_INTERVAL = 1.0


def connect() -> client.ApiClient:
    """Return a client of the cluster that this pod runs in, or of KUBECONFIG.

    Raises:
        DeploymentError: there is neither.
    """
    try:
        # In a pod first: a task of a pipeline deploys with its service account.
        config.load_incluster_config()
    except config.ConfigException:
        try:
            # The client reads the variable when it is imported, and nobody may have set it yet.
            config.load_kube_config(os.environ.get("KUBECONFIG"))
        except (config.ConfigException, OSError) as error:
            raise DeploymentError(f"no cluster to apply to: not in a pod, and KUBECONFIG gives none: {error}") from None
    return client.ApiClient()


def apply_and_wait(
    objects: list[dict[str, Any]],
    api: client.ApiClient,
    timeout: float = 600,
    interval: float = 3,
    check: Check | None = None,
) -> None:
    """Apply the objects, wait until every pod is of their version and available, and test the service.

    Args:
        objects: the objects, one InferenceService among them.
        api: the cluster.
        timeout: seconds in which the service must be ready.
        interval: seconds between two polls.
        check: tests the ready service, given as the cluster returns it; raises DeploymentError if it fails.

    Raises:
        DeploymentError: the cluster lacks something or would refuse an object, and nothing was changed; or the new
            version did not become ready in time or failed its test: every object that was sent is then rolled back,
            objects that were not there before are deleted, and the message reports the pods' reasons and the result.
    """
    kube = Kube(api)
    objects = require(kube, in_order(objects))
    service = next(item for item in objects if item["kind"] == "InferenceService")
    # Nothing is applied by halves: what the cluster would refuse is known before the first object is sent.
    if refused := [error for item in objects if (error := _error(partial(kube.apply, dry=True), item)) is not None]:
        raise DeploymentError("\n  ".join(refused) + "; nothing was changed")
    # Read before anything changes, for the rollback.
    before = [kube.get(item) for item in objects]
    sent, failure = _apply_all(kube, objects)
    # An object that was refused changes nothing; there is no point in waiting then.
    if failure is None and (lacking := _wait(kube, objects, timeout, interval) or _tested(kube, service, check)):
        failure = "\n  ".join([f"{label(service)} {lacking}", *problems(kube, service)])
    if failure is not None:
        outcome = _roll_back(kube, objects, before, sent, timeout, interval) if sent else "nothing was changed"
        raise DeploymentError(f"{failure}; {outcome}")
    _prune(kube, objects)


def in_order(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return objects in the order in which they are applied: kustomize and Helm have orders of their own."""
    return sorted(objects, key=lambda item: _ORDER.index(item["kind"]) if item["kind"] in _ORDER else len(_ORDER))


def sendable(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object of the cluster without the fields that the cluster adds, so that it can be applied again."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in _SERVER_FIELDS}
    return {key: value for key, value in item.items() if key != "status"} | {"metadata": metadata}


def _apply_all(kube: Kube, objects: list[dict[str, Any]]) -> tuple[int, str | None]:
    """Apply the objects up to the first failure; return how many may have been applied, and the failure."""
    for done, item in enumerate(objects):
        progress(done + 1, len(objects) + 1, f"{item['kind']} {item['metadata']['name']}")
        try:
            kube.apply(item)
        except RefusedError as error:
            return done, str(error)
        except DeploymentError as error:  # without an answer it may have been applied
            return done + 1, str(error)
    return len(objects), None


def _tested(kube: Kube, service: dict[str, Any], check: Check | None) -> str | None:
    """Return None if the service passes its test, else the error message."""
    try:
        if check is not None:
            check(kube.get(service) or service)
    except AlmanacError as error:
        return f"is ready, but {error}"
    return None


def _prune(kube: Kube, objects: list[dict[str, Any]]) -> None:
    """Delete the runtimes of earlier versions, which no service uses any more."""
    runtimes = [item for item in objects if item["kind"] == "ServingRuntime"]
    for current in runtimes:
        metadata = current["metadata"]
        path = f"/apis/{current['apiVersion']}/namespaces/{metadata['namespace']}/servingruntimes"
        labels = {key: metadata["labels"][key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/part-of")}
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        try:
            found = kube.read(path, "ServingRuntimes", {"labelSelector": selector}) or {}
            kept = {item["metadata"]["name"] for item in runtimes}
            for old in found.get("items", []):
                if old["metadata"]["name"] not in kept:
                    kube.delete({**current, "metadata": old["metadata"]})
        # The version is ready: what is left over does no harm.
        except DeploymentError as error:
            print(f"warning: runtimes of earlier versions were not deleted: {error}", flush=True)


def _roll_back(
    kube: Kube,
    objects: list[dict[str, Any]],
    before: list[dict[str, Any] | None],
    sent: int,
    timeout: float,
    interval: float,
) -> str:
    """Apply the earlier objects again, delete those that were not there, and return a description of the result."""
    earlier = [item for item in before[:sent] if item is not None]
    made = [item for item, old in zip(objects[:sent], before[:sent], strict=True) if old is None]
    failed = [error for item in earlier if (error := _error(kube.apply, sendable(item))) is not None]
    # In reverse, so that a service goes before its runtime.
    failed += [error for item in reversed(made) if (error := _error(kube.delete, item)) is not None]
    notes = [f"not everything could be undone: {'; '.join(failed)}"] if failed else []
    service = next((item for item in before if item is not None and item["kind"] == "InferenceService"), None)
    if service is None:
        return "; ".join(["there is no earlier version to go back to, and what was applied was deleted", *notes])
    again = _wait(
        kube,
        [sendable(item) for item in before if item is not None],
        min(timeout, _BACK),
        min(interval, _BACK_INTERVAL),
    )
    version = service["metadata"].get("annotations", {}).get(VERSION, "unknown")
    return "; ".join(
        [f"version {version} was applied again {'and is ready' if again is None else f'but {again}'}", *notes]
    )


def _error(action: Callable[[dict[str, Any]], None], item: dict[str, Any]) -> str | None:
    try:
        action(item)
    except DeploymentError as error:
        return str(error)
    return None


def _wait(kube: Kube, objects: list[dict[str, Any]], timeout: float, interval: float) -> str | None:
    """Return None once the rollout is complete, or its missing parts when time is up."""
    service = next(item for item in objects if item["kind"] == "InferenceService")
    deadline = time.monotonic() + timeout
    while True:
        try:
            lacking = missing(kube, service, _image(objects))
        except DeploymentError as error:  # an API server that is down says nothing about the version
            lacking = str(error)
        if not lacking:
            return None
        left = deadline - time.monotonic()
        if left <= 0:
            return f"did not get ready within {timeout:g} s: {lacking}"
        # The last look is when time is up, and not a whole interval later.
        time.sleep(min(interval, left))


def _image(objects: list[dict[str, Any]]) -> str | None:
    """Return the image of the runtime that the service names; a canary may bring another one."""
    service = next(item for item in objects if item["kind"] == "InferenceService")
    named = service["spec"]["predictor"]["model"]["runtime"]
    images = {
        item["metadata"]["name"]: str(item["spec"]["containers"][0]["image"])
        for item in objects
        if item["kind"] == "ServingRuntime"
    }
    return images.get(named)
