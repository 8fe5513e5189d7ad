"""A forecast from a service on a cluster."""

import json
from pathlib import Path

import httpx
from kubernetes import client

from almanac.core.errors import DeploymentError
from almanac.model.model import Model
from serving.deploy.kube import Kube
from serving.deploy.manifests import service_name
from serving.deploy.reach import require_way, way_to
from serving.deploy.smoke import examples

_JSON = {"content-type": "application/json"}


def ask(
    api: client.ApiClient, usecase: str, namespace: str, model: Model, body: Path | None = None, url: str = ""
) -> str:
    """Return the answer of a use case's service as JSON text.

    Args:
        api: The cluster.
        usecase: Name of the use case.
        namespace: Namespace of the service.
        model: Model to ask.
        body: File with the request; two rows at the ends of the model's training data when None.
        url: The way to the service, as `way_to` takes it.

    Raises:
        DeploymentError: no way to the service, or an answer that is no forecast.
    """
    metadata = {"name": service_name(usecase), "namespace": namespace}
    service = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": metadata}
    key = require_way(Kube(api), namespace, url)
    with (
        way_to(api, service, url) as (address, transport),
        httpx.Client(base_url=address, headers={"x-api-key": key or ""}, transport=transport) as way,
    ):
        try:
            content = body.read_bytes() if body else json.dumps({"instances": examples(model)[0]}).encode()
            answer = way.post(f"/v1/models/{model.name}:predict", content=content, headers=_JSON)
        except (httpx.HTTPError, OSError) as error:
            raise DeploymentError(f"{address}: no answer ({error})") from error
    if answer.status_code != httpx.codes.OK:
        raise DeploymentError(f"{address}: answered {answer.status_code}: {answer.text[:300]}")
    return json.dumps(answer.json(), indent=2)
