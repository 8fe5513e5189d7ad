"""Applying the objects on a cluster, server-side, and going back where the new version does not get ready."""

import time
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from components.common.errors import DeploymentError
from components.common.progress import progress

FIELD_MANAGER = "almanac"
_PLURALS = {
    "ServingRuntime": "servingruntimes",
    "InferenceService": "inferenceservices",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "NetworkPolicy": "networkpolicies",
    "ServiceMonitor": "servicemonitors",
}
#: What the cluster adds to an object, and what must not be sent back to it.
_SERVER_FIELDS = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")


def connect() -> client.ApiClient:
    """Return a client of the cluster that this pod runs in, or of KUBECONFIG.

    Raises:
        DeploymentError: there is neither.
    """
    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except (config.ConfigException, OSError) as error:
            raise DeploymentError(f"no cluster to apply to: not in a pod, and KUBECONFIG gives none: {error}") from None
    return client.ApiClient()


def apply_and_wait(
    objects: list[dict[str, Any]], api: client.ApiClient, timeout: float = 600, interval: float = 3
) -> None:
    """Apply the objects and wait until the InferenceService is ready with them.

    Raises:
        DeploymentError: the cluster refused an object, or the new version did not get ready in time; the version
            before it, where there was one, was applied again.
    """
    service = next(item for item in objects if item["kind"] == "InferenceService")
    before = _get(api, service)
    for done, item in enumerate(objects, start=1):
        progress(done, len(objects) + 1, f"{item['kind']} {item['metadata']['name']}")
        _apply(api, item)
    failure = _wait_until_ready(api, service, timeout, interval)
    if failure is None:
        return
    if before is None:
        raise DeploymentError(f"{_label(service)} {failure}; there is no earlier version to go back to")
    _apply(api, _sendable(before))
    again = _wait_until_ready(api, _sendable(before), timeout, interval)
    outcome = "and is ready" if again is None else f"but {again}"
    version = before["metadata"].get("annotations", {}).get("almanac.io/version", "unknown")
    raise DeploymentError(f"{_label(service)} {failure}; version {version} was applied again {outcome}")


def _path(item: dict[str, Any]) -> str:
    place = f"namespaces/{item['metadata']['namespace']}/{_PLURALS[item['kind']]}/{item['metadata']['name']}"
    return f"/apis/{item['apiVersion']}/{place}"


def _get(api: client.ApiClient, item: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return _call(api, "GET", item)
    except ApiException as error:
        if error.status == 404:
            return None
        raise _refused(item, error) from None


def _apply(api: client.ApiClient, item: dict[str, Any]) -> None:
    query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
    try:
        _call(api, "PATCH", item, query, item)
    except ApiException as error:
        raise _refused(item, error) from None


def _call(
    api: client.ApiClient,
    method: str,
    item: dict[str, Any],
    query: list[tuple[str, str]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Call the API below the typed client, which knows no server-side apply."""
    try:
        answer: tuple[dict[str, Any], Any, Any] = api.call_api(
            _path(item),
            method,
            query_params=query or [],
            header_params={"Accept": "application/json", "Content-Type": "application/apply-patch+yaml"},
            body=body,
            response_type="object",
            auth_settings=["BearerToken"],
        )
    except urllib3.exceptions.HTTPError as error:
        raise DeploymentError(f"{_label(item)}: the cluster does not answer: {error}") from None
    return answer[0]


def _wait_until_ready(api: client.ApiClient, item: dict[str, Any], timeout: float, interval: float) -> str | None:
    """Return None once the service is ready with the wanted model, or what it still lacks when time is up."""
    deadline, lacking = time.monotonic() + timeout, "was not seen"
    wanted = item["spec"]["predictor"]["model"]["storageUri"]
    while time.monotonic() < deadline:
        found = _get(api, item)
        if found is not None:
            lacking = _lacking(found, wanted)
            if not lacking:
                return None
        time.sleep(interval)
    return f"did not get ready within {timeout:g} s: {lacking}"


def _lacking(found: dict[str, Any], wanted: str) -> str:
    status = found.get("status") or {}
    if found["spec"]["predictor"]["model"].get("storageUri") != wanted:
        return "another version was applied meanwhile"
    if status.get("observedGeneration", 0) < found["metadata"].get("generation", 0):
        return "the controller has not looked at it yet"
    ready = next((one for one in status.get("conditions", []) if one["type"] == "Ready"), None)
    if ready is None:
        return "it has no Ready condition yet"
    if ready["status"] != "True":
        return f"Ready is {ready['status']}: {ready.get('reason', '')} {ready.get('message', '')}".strip()
    return ""


def _sendable(item: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in item["metadata"].items() if key not in _SERVER_FIELDS}
    return {key: value for key, value in item.items() if key != "status"} | {"metadata": metadata}


def _refused(item: dict[str, Any], error: ApiException) -> DeploymentError:
    return DeploymentError(f"{_label(item)}: the cluster answered {error.status} {error.reason}: {error.body}")


def _label(item: dict[str, Any]) -> str:
    return f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}"
