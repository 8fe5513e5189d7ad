"""The version that a cluster serves."""

from almanac.core.errors import DeploymentError
from serving.deploy.apply import connect
from serving.deploy.kube import Kube
from serving.deploy.manifests import VERSION, service_name


def served(use_case: str, namespace: str) -> str | None:
    """Return the version of a use case's InferenceService; None if there is none, or this account may not see it."""
    name = service_name(use_case)
    path = f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/{name}"
    try:
        found = Kube(connect()).read(path, f"InferenceService {namespace}/{name}")
    except DeploymentError:
        return None
    return None if found is None else found["metadata"].get("annotations", {}).get(VERSION)
