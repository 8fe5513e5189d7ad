"""The way to a service on a cluster from outside: the API server forwards requests to the service's pods.

A stock KServe gives a service the address `http://<name>-<namespace>.example.com`, which leads nowhere before somebody
sets up a domain. Whoever may deploy reaches the API server, so requests go the same way as the objects do.
"""

import base64
import binascii
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import urllib3
from kubernetes import client

from almanac.core.errors import DeploymentError
from serving.deploy.forward import PORT_FORWARD, forwarded, may_forward
from serving.deploy.kube import Kube

#: Secret with the key that deployments test a service with.
KEY_SECRET, KEY_ENTRY = "almanac-client-key", "key"
_SECONDS = 30.0


class ClusterTransport(httpx.BaseTransport):
    """Sends the requests of an httpx client to a Service of a cluster, through the API server.

    Args:
        api: The client of the API server, with its address, certificates and credentials.
        namespace: Namespace of the Service.
        name: Name of the Service, whose first port it asks.
    """

    def __init__(self, api: client.ApiClient, namespace: str, name: str) -> None:
        self._api = api
        self._base = f"{api.configuration.host}/api/v1/namespaces/{namespace}/services/http:{name}:80/proxy"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the answer, the service's or the API server's."""
        headers = {"accept": "application/json"}
        headers |= {name: value for name, value in request.headers.items() if name in ("content-type", "x-api-key")}
        self._api.update_params_for_auth(headers, [], ["BearerToken"])
        # A path with a second slash would be answered by a redirect, which loses the request's body.
        address = self._base + request.url.raw_path.decode("ascii")
        try:
            answer = self._api.rest_client.pool_manager.request(
                request.method,
                address,
                body=request.read() or None,
                headers=headers,
                timeout=urllib3.Timeout(connect=5.0, read=_SECONDS),
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise httpx.ConnectError(f"the API server does not answer: {error}", request=request) from error
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.data, request=request)


def predictor_address(service: dict[str, Any]) -> str:
    """Return the address of an InferenceService's pods inside the cluster."""
    return f"http://{service['metadata']['name']}-predictor.{service['metadata']['namespace']}"


def through_the_api(api: client.ApiClient, service: dict[str, Any]) -> ClusterTransport:
    """Return the way to an InferenceService's pods through the API server."""
    metadata = service["metadata"]
    return ClusterTransport(api, metadata["namespace"], f"{metadata['name']}-predictor")


@contextmanager
def way_to(
    api: client.ApiClient, service: dict[str, Any], url: str
) -> Iterator[tuple[str, httpx.BaseTransport | None]]:
    """Yield the address of an InferenceService's pods, and the transport that leads there; None for the network's own.

    Args:
        api: the cluster.
        service: the InferenceService; kind, version, namespace and name are enough.
        url: an address, `port-forward`, or nothing for the way through the API server.

    Raises:
        DeploymentError: no port could be forwarded.
    """
    if url == PORT_FORWARD:
        with forwarded(Kube(api), service) as address:
            yield address, None
    elif url:
        yield url, None
    else:
        yield predictor_address(service), through_the_api(api, service)


def client_key(kube: Kube, namespace: str) -> str | None:
    """Return the key for requests: that of ALMANAC_API_KEY, or of the namespace's secret.

    None if there is neither, or this account may not read the secret.

    Raises:
        DeploymentError: the secret holds no key.
    """
    if given := os.environ.get("ALMANAC_API_KEY"):
        return given
    if not kube.may("get", "secrets", namespace, name=KEY_SECRET):
        return None
    found = kube.read(f"/api/v1/namespaces/{namespace}/secrets/{KEY_SECRET}", f"secret {KEY_SECRET}")
    if found is None:
        return None
    try:
        return base64.b64decode(found["data"][KEY_ENTRY], validate=True).decode("ascii").strip()
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError):
        raise DeploymentError(f"secret {namespace}/{KEY_SECRET}: no key under the entry {KEY_ENTRY}") from None


def require_way(kube: Kube, namespace: str, url: str) -> str | None:
    """Return the key for requests, if this account can ask a service at an address, or as `way_to` does.

    Raises:
        DeploymentError: there is no key, or the account may not send requests that way.
    """
    if url == PORT_FORWARD and (lacking := may_forward(kube, namespace)):
        raise DeploymentError(f"{namespace}: {lacking}; nothing was changed")
    if not url and not kube.may("create", "services", namespace, subresource="proxy"):
        raise DeploymentError(
            f"{namespace}: this account may not send requests through the API server (create on services/proxy); give "
            f"the service's address in ALMANAC_URL, or {PORT_FORWARD}; nothing was changed"
        )
    key = client_key(kube, namespace)
    if key is None and url in ("", PORT_FORWARD):
        raise DeploymentError(
            f"{namespace}: no API key to test the service with: almanac deploy keys --namespace {namespace}, "
            "or ALMANAC_API_KEY; nothing was changed"
        )
    return key
