"""Apply objects on a cluster, server-side, and roll back if the new version does not become ready."""

import time
from collections.abc import Callable
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from almanac.core.errors import AlmanacError, DeploymentError
from almanac.core.progress import progress

FIELD_MANAGER = "almanac"
Check = Callable[[dict[str, Any]], None]
_PLURALS = {
    "ServingRuntime": "servingruntimes",
    "InferenceService": "inferenceservices",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "NetworkPolicy": "networkpolicies",
    "ServiceMonitor": "servicemonitors",
}
#: Fields that the cluster adds to an object, and that must not be sent back.
_SERVER_FIELDS = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")


class _RefusedError(DeploymentError):
    """An object that the cluster refused, so that it is unchanged."""


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
            config.load_kube_config()
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
    """Apply the objects, wait until the InferenceService is ready with them, and test it.

    Args:
        objects: the objects, one InferenceService among them.
        api: the cluster.
        timeout: seconds in which the service must be ready.
        interval: seconds between two polls.
        check: tests the ready service, given as the cluster returns it; raises DeploymentError if it fails.

    Raises:
        DeploymentError: the cluster refused an object or did not answer, or the new version did not become ready in
            time or failed its test; every object that was sent is then rolled back, and the message reports the result.
    """
    service = next(item for item in objects if item["kind"] == "InferenceService")
    # Read before anything changes, for the rollback.
    before = [_get(api, item) for item in objects]
    sent, failure = _apply_all(api, objects)
    # An object that was refused changes nothing; there is no point in waiting then.
    if failure is None and (
        missing := _wait_until_ready(api, service, timeout, interval) or _tested(api, service, check)
    ):
        failure = f"{_label(service)} {missing}"
    if failure is not None:
        outcome = _roll_back(api, before, sent, timeout, interval) if sent else "nothing was changed"
        raise DeploymentError(f"{failure}; {outcome}")


def _apply_all(api: client.ApiClient, objects: list[dict[str, Any]]) -> tuple[int, str | None]:
    """Apply the objects up to the first failure; return how many may have been applied, and the failure."""
    for done, item in enumerate(objects):
        progress(done + 1, len(objects) + 1, f"{item['kind']} {item['metadata']['name']}")
        try:
            _apply(api, item)
        except _RefusedError as error:
            return done, str(error)
        except DeploymentError as error:  # without an answer it may have been applied
            return done + 1, str(error)
    return len(objects), None


def _tested(api: client.ApiClient, service: dict[str, Any], check: Check | None) -> str | None:
    """Return None if the service passes its test, else the error message."""
    try:
        if check is not None:
            check(_get(api, service) or service)
    except AlmanacError as error:
        return f"is ready, but {error}"
    return None


def _roll_back(
    api: client.ApiClient, before: list[dict[str, Any] | None], sent: int, timeout: float, interval: float
) -> str:
    """Apply the earlier objects again, one by one, and return a description of the result."""
    earlier = [item for item in before[:sent] if item is not None]
    failed = [error for item in earlier if (error := _restored(api, item)) is not None]
    notes = [f"not everything could be applied again: {'; '.join(failed)}"] if failed else []
    service = next((item for item in before if item is not None and item["kind"] == "InferenceService"), None)
    if service is None:
        return "; ".join(["there is no earlier version to go back to", *notes])
    again = _wait_until_ready(api, _sendable(service), timeout, interval)
    version = service["metadata"].get("annotations", {}).get("almanac.io/version", "unknown")
    return "; ".join(
        [f"version {version} was applied again {'and is ready' if again is None else f'but {again}'}", *notes]
    )


def _restored(api: client.ApiClient, item: dict[str, Any]) -> str | None:
    """Apply an earlier object again; return None, or the error message."""
    try:
        _apply(api, _sendable(item))
    except DeploymentError as error:
        return str(error)
    return None


def _path(item: dict[str, Any]) -> str:
    path = f"namespaces/{item['metadata']['namespace']}/{_PLURALS[item['kind']]}/{item['metadata']['name']}"
    return f"/apis/{item['apiVersion']}/{path}"


def _get(api: client.ApiClient, item: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return _call(api, "GET", item)
    except ApiException as error:
        if error.status == 404:
            return None
        raise _refused(item, error) from None


def _apply(api: client.ApiClient, item: dict[str, Any]) -> None:
    # Forced: fields that somebody edited by hand belong to the manifest again.
    query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
    try:
        _call(api, "PATCH", item, query, item)
    except ApiException as error:
        raise _refused(item, error) from None


def _refused(item: dict[str, Any], error: ApiException) -> DeploymentError:
    kind = _RefusedError if error.status < 500 else DeploymentError
    return kind(f"{_label(item)}: the cluster answered {error.status} {error.reason}: {error.body}")


def _call(
    api: client.ApiClient,
    method: str,
    item: dict[str, Any],
    query: list[tuple[str, str]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Call the API below the typed client, which has no server-side apply."""
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
    """Return None once the service is ready with this model, or the missing condition when time is up."""
    deadline, missing = time.monotonic() + timeout, "was not seen"
    storage_uri = item["spec"]["predictor"]["model"]["storageUri"]
    while time.monotonic() < deadline:
        try:
            service = _get(api, item)
        except DeploymentError as error:  # an API server that is down says nothing about the version
            service, missing = None, str(error)
        if service is not None:
            missing = _missing(service, storage_uri)
            if not missing:
                return None
        time.sleep(interval)
    return f"did not get ready within {timeout:g} s: {missing}"


def _missing(service: dict[str, Any], storage_uri: str) -> str:
    status = service.get("status") or {}
    if service["spec"]["predictor"]["model"].get("storageUri") != storage_uri:
        return "another version was applied meanwhile"
    # Until the controller has seen the change, the conditions are those of the old version.
    if status.get("observedGeneration", 0) < service["metadata"].get("generation", 0):
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


def _label(item: dict[str, Any]) -> str:
    return f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}"
