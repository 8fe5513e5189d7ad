"""Calls of a Kubernetes API: objects by server-side apply, and the events and logs that explain a failure."""

from typing import Any
from urllib.parse import quote

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from almanac.core.errors import DeploymentError

FIELD_MANAGER = "almanac"
_APPLY, _MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
#: Name of each kind in the paths of the API, in the order in which objects are applied: pods wait for secrets and
#: claims, a service is refused without its runtime, and what selects its pods is of no use without them.
PLURALS = {
    "Secret": "secrets",
    "ExternalSecret": "externalsecrets",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "ServingRuntime": "servingruntimes",
    "InferenceService": "inferenceservices",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "NetworkPolicy": "networkpolicies",
    "ServiceMonitor": "servicemonitors",
    "HTTPRoute": "httproutes",
    "Ingress": "ingresses",
}
#: Seconds until a connection stands, and between two bytes of an answer.
_TIMEOUT = (5, 30)


class RefusedError(DeploymentError):
    """An object that the cluster refused, so that it is unchanged."""


class Kube:
    """A Kubernetes API.

    Args:
        api: The client, which knows the address and the credentials.
    """

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    def get(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """Return an object as the cluster has it; None if it does not."""
        return self.read(_path(item), label(item))

    def apply(self, item: dict[str, Any], dry: bool = False) -> None:
        """Apply an object, server-side, with strict validation.

        Args:
            item: The object.
            dry: Only ask whether the cluster would take it: admission webhooks included.

        Raises:
            RefusedError: the cluster refused it, so that nothing has changed.
            DeploymentError: no answer, or an error of the server, after which it may have changed.
        """
        # Forced: fields that somebody edited by hand belong to the manifest again.
        query = [("fieldManager", FIELD_MANAGER), ("force", "true"), ("fieldValidation", "Strict")]
        if dry:
            query.append(("dryRun", "All"))
        try:
            self._call("PATCH", _path(item), label(item), query, item)
        except ApiException as error:
            raise _refused(label(item), error) from None

    def merge(self, item: dict[str, Any], change: dict[str, Any]) -> None:
        """Change some fields of an object that is there, and leave the others to whoever applied it.

        Raises:
            RefusedError: the cluster refused it, or there is no such object.
        """
        try:
            self._call("PATCH", _path(item), label(item), [("fieldManager", FIELD_MANAGER)], change, patch=_MERGE)
        except ApiException as error:
            raise _refused(label(item), error) from None

    def delete(self, item: dict[str, Any]) -> None:
        """Delete an object; one that is not there is no error."""
        try:
            self._call("DELETE", _path(item), label(item))
        except ApiException as error:
            if error.status != 404:
                raise _refused(label(item), error) from None

    def read(self, path: str, name: str, query: dict[str, str] | None = None) -> Any | None:
        """Return the answer to a GET request; None if there is nothing at the path.

        Raises:
            DeploymentError: no answer, or a refusal.
        """
        try:
            return self._call("GET", path, name, list((query or {}).items()))
        except ApiException as error:
            if error.status == 404:
                return None
            raise _refused(name, error) from None

    def may(self, verb: str, resource: str, namespace: str, subresource: str = "", name: str = "") -> bool:
        """Return whether this account may do something in a namespace; resources are written GROUP/NAME."""
        group, _, plural = resource.rpartition("/")
        asked = {"namespace": namespace, "verb": verb, "group": group, "resource": plural}
        asked |= {"subresource": subresource, "name": name}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        try:
            found = self._call("POST", path, "rights", [], review | {"spec": {"resourceAttributes": asked}})
        except ApiException as error:
            raise _refused(f"rights to {verb} {resource}", error) from None
        return bool(found["status"]["allowed"])

    def log(self, namespace: str, pod: str, container: str, lines: int, previous: bool) -> str:
        """Return the last lines of a container's log; empty where the account may not read it."""
        path = f"/api/v1/namespaces/{namespace}/pods/{quote(pod)}/log"
        query = [("container", container), ("tailLines", str(lines)), ("previous", str(previous).lower())]
        try:
            return str(self._call("GET", path, f"log of {pod}", query, kind="str")).strip()
        except (ApiException, DeploymentError):
            return ""

    def page(self, namespace: str, pod: str, port: int, path: str) -> str:
        """Return a page of a pod's server, through the API server.

        Raises:
            DeploymentError: no answer, or a refusal.
        """
        address = f"/api/v1/namespaces/{namespace}/pods/{quote(pod)}:{port}/proxy{path}"
        try:
            return str(self._call("GET", address, f"{path} of {pod}", kind="str"))
        except ApiException as error:
            raise _refused(f"{path} of {pod}", error) from None

    def _call(
        self,
        method: str,
        path: str,
        name: str,
        query: list[tuple[str, str]] | None = None,
        body: dict[str, Any] | None = None,
        kind: str = "object",
        patch: str = _APPLY,
    ) -> Any:
        """Call the API below the typed client, which has no server-side apply."""
        headers = {"Accept": "*/*" if kind == "str" else "application/json"}
        if body is not None:
            headers["Content-Type"] = patch if method == "PATCH" else "application/json"
        try:
            answer: tuple[Any, Any, Any] = self._api.call_api(
                path,
                method,
                query_params=query or [],
                header_params=headers,
                body=body,
                response_type=kind,
                auth_settings=["BearerToken"],
                _request_timeout=_TIMEOUT,
            )
        except urllib3.exceptions.HTTPError as error:
            raise DeploymentError(f"{name}: the cluster does not answer: {error}") from None
        return answer[0]


def label(item: dict[str, Any]) -> str:
    """Return kind, namespace and name of an object, for messages."""
    place = [item["metadata"][name] for name in ("namespace", "name") if name in item["metadata"]]
    return f"{item['kind']} {'/'.join(place)}"


def _path(item: dict[str, Any]) -> str:
    if item["kind"] not in PLURALS:
        raise DeploymentError(f"{label(item)}: is of no kind that a deployment applies: {', '.join(PLURALS)}")
    path = f"namespaces/{item['metadata']['namespace']}/{PLURALS[item['kind']]}/{item['metadata']['name']}"
    return f"/{'apis' if '/' in item['apiVersion'] else 'api'}/{item['apiVersion']}/{path}"


def _refused(name: str, error: ApiException) -> DeploymentError:
    kind = RefusedError if error.status < 500 else DeploymentError
    return kind(f"{name}: the cluster answered {error.status} {error.reason}: {str(error.body).strip()}")
