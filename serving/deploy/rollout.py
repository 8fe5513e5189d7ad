"""The rollout of a version: whether all pods are of it and available, and why one is not.

An InferenceService's own conditions do not tell. Its `status.observedGeneration` is that of the Deployment below it,
and from KServe 0.20 on its Ready stays true for as long as old pods are available.
"""

from collections.abc import Iterator
from typing import Any

from almanac.core.errors import DeploymentError
from serving.deploy.kube import Kube
from serving.deploy.manifests import CANARY, DIGEST, VERSION

_CONTAINER = "kserve-container"
#: States of a container that is on its way.
_STARTING = {"ContainerCreating", "PodInitializing"}
_LOG_LINES = 8


def missing(kube: Kube, service: dict[str, Any], image: str | None) -> str:
    """Return the missing parts of a version's rollout, in words; empty if it is complete.

    Args:
        kube: The cluster.
        service: The InferenceService as it was applied.
        image: The serving image that the pods must run; any where absent.

    Raises:
        DeploymentError: the cluster refused to answer, or did not answer.
    """
    current = kube.get(service)
    if current is None:
        return "the InferenceService is not there"
    if _wanted(current) != _wanted(service):
        return "another version was applied meanwhile"
    deployment = _deployment(kube, service)
    if deployment is None:
        return f"KServe has made no Deployment for it yet{_ready(current)}"
    template, status = deployment["spec"]["template"], deployment.get("status") or {}
    if _wanted(template) != _wanted(service) or (image is not None and _image(template) != image):
        return "its Deployment is still that of the version before"
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return "its Deployment has not been observed yet"
    replicas = max(deployment["spec"].get("replicas", 1), service["spec"]["predictor"].get("minReplicas", 1))
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    if counts != [replicas] * 3 and not (min(counts) == max(counts) >= replicas):
        return f"{counts[1]} of {replicas} pods are of this version; {counts[2]} of all {counts[0]} pods are available"
    return _ready(current).removeprefix("; ")


def ready_pods(kube: Kube, service: dict[str, Any]) -> list[str]:
    """Return the names of the ready pods of a version.

    Raises:
        DeploymentError: the cluster refused to answer, or did not answer.
    """
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    selector = {"labelSelector": f"serving.kserve.io/inferenceservice={name}"}
    pods = kube.read(f"/api/v1/namespaces/{namespace}/pods", f"pods of {name}", selector) or {}
    return [
        pod["metadata"]["name"]
        for pod in pods.get("items", [])
        if _wanted(pod) == _wanted(service)
        and "deletionTimestamp" not in pod["metadata"]
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in (pod.get("status") or {}).get("conditions", [])
        )
    ]


def problems(kube: Kube, service: dict[str, Any]) -> list[str]:
    """Return why pods of a version are not ready: a line each, and the last lines of their logs."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    selector = {"labelSelector": f"serving.kserve.io/inferenceservice={name}"}
    try:
        pods = kube.read(f"/api/v1/namespaces/{namespace}/pods", f"pods of {name}", selector) or {}
        deployment = _deployment(kube, service)
    except DeploymentError as error:
        return [f"its pods could not be looked at: {error}"]
    lines = [line for pod in pods.get("items", []) if _wanted(pod) == _wanted(service) for line in _pod(kube, pod)]
    # Without any pod it was refused as such: by PodSecurity, a quota or a missing account.
    conditions = ((deployment or {}).get("status") or {}).get("conditions", [])
    failures = [one["message"] for one in conditions if one["type"] == "ReplicaFailure" and one["status"] == "True"]
    return lines or failures


def _pod(kube: Kube, pod: dict[str, Any]) -> Iterator[str]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") == "True":
        return
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        yield f"pod {name}: {scheduled.get('reason', 'not scheduled')}: {scheduled.get('message', '')}"
    explained = False
    before = status.get("initContainerStatuses", [])
    for container in [*before, *status.get("containerStatuses", [])]:
        reason = _reason(container, "has not ended" if container in before else "runs, but its probe fails")
        if reason is None:
            if waiting := (container.get("state") or {}).get("waiting"):
                yield f"pod {name}, container {container['name']}: {waiting.get('reason')}"
            continue
        explained = True
        yield f"pod {name}, container {container['name']}: {reason}"
        yield from (f"  {line}" for line in _log(kube, pod, container).splitlines())
    # Otherwise the newest event is often about something else, such as a node without DNS.
    if not explained:
        yield from _warnings(kube, pod)


def _log(kube: Kube, pod: dict[str, Any], container: dict[str, Any]) -> str:
    """Return the last lines of the log of a container that ended, whether it was started again since or not."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    again = "running" in (container.get("state") or {}) and container.get("restartCount", 0) > 0
    # The other one where the node has removed it already: it keeps one of the containers that ended.
    texts = (kube.log(namespace, name, container["name"], _LOG_LINES, previous) for previous in (again, not again))
    return next(filter(None, texts), "")


def _warnings(kube: Kube, pod: dict[str, Any]) -> Iterator[str]:
    """Yield the newest warning among a pod's events, the only place that names a volume which cannot be mounted."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    query = {"fieldSelector": f"involvedObject.name={name},type=Warning"}
    try:
        found = (kube.read(f"/api/v1/namespaces/{namespace}/events", f"events of {name}", query) or {}).get("items", [])
    except DeploymentError:  # without the right to see events the pod's own state has to do
        return
    if found:
        newest = max(found, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        yield f"pod {name}, last warning: {newest.get('reason')}: {newest.get('message')}"


def _reason(container: dict[str, Any], running: str) -> str | None:
    """Return why a container is not ready, `running` if it only runs; None if it is ready, or is on its way."""
    state = container.get("state") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if ended and (ended.get("exitCode") or not container.get("ready")):
        # An init container that has ended well is ready.
        return f"{ended.get('reason', 'ended')}, exit code {ended.get('exitCode')}" if ended.get("exitCode") else None
    waiting = state.get("waiting")
    if waiting:
        return None if waiting.get("reason") in _STARTING else f"{waiting.get('reason')}: {waiting.get('message', '')}"
    return running if "running" in state and not container.get("ready") else None


def _deployment(kube: Kube, service: dict[str, Any]) -> dict[str, Any] | None:
    namespace, name = service["metadata"]["namespace"], f"{service['metadata']['name']}-predictor"
    found: dict[str, Any] | None = kube.read(
        f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}", f"Deployment {namespace}/{name}"
    )
    return found


def _wanted(item: dict[str, Any]) -> tuple[str | None, ...]:
    annotations = item["metadata"].get("annotations") or {}
    return tuple(annotations.get(name) for name in (VERSION, DIGEST, CANARY))


def _image(template: dict[str, Any]) -> str | None:
    containers = template["spec"].get("containers", [])
    return next((str(one["image"]) for one in containers if one["name"] == _CONTAINER), None)


def _ready(service: dict[str, Any]) -> str:
    """Return the Ready condition in words if it is not true."""
    conditions = (service.get("status") or {}).get("conditions", [])
    ready = next((one for one in conditions if one["type"] == "Ready"), None)
    if ready is None:
        return "; it has no Ready condition yet"
    if ready["status"] == "True":
        return ""
    return f"; Ready is {ready['status']}: {ready.get('reason', '')} {ready.get('message', '')}".rstrip()
