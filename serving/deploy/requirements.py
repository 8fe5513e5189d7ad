"""The requirements of a deployment on its cluster, checked before anything is applied."""

from collections.abc import Iterator
from typing import Any

from almanac.core.errors import DeploymentError
from serving.deploy.kube import Kube

#: The lifecycle's sleep is there from 1.30 on.
KUBERNETES = (1, 30)
_KSERVE = "/serving.kserve.io/v1beta1"
_MONITORING = "monitoring.coreos.com"


def require(kube: Kube, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the objects that the cluster has a use for, if it has all that they need.

    A ServiceMonitor is left out where nothing knows it.

    Raises:
        DeploymentError: something is missing; the message names each with the step that brings it.
    """
    service = next(item for item in objects if item["kind"] == "InferenceService")
    namespace = service["metadata"]["namespace"]
    if missing := list(_missing(kube, namespace, objects)):
        said = f"{namespace} is not ready for a deployment; nothing was changed:"
        raise DeploymentError("\n  ".join([said, *missing]))
    monitored = kube.read("/apis/monitoring.coreos.com/v1", "monitoring.coreos.com/v1") is not None
    if not monitored and any(item["apiVersion"].startswith(_MONITORING) for item in objects):
        print("warning: the cluster knows no ServiceMonitor, so nothing will scrape the servers", flush=True)
    return [item for item in objects if monitored or not item["apiVersion"].startswith(_MONITORING)]


def has_field(kube: Kube, *path: str) -> bool | None:
    """Return whether the InferenceService's definition on the cluster has a field; None where it does not say."""
    document = kube.read(f"/openapi/v3/apis{_KSERVE}", "the definition of InferenceService") or {}
    schemas = document.get("components", {}).get("schemas", {})
    found: dict[str, Any] = next(
        (schema for name, schema in schemas.items() if name.endswith(".v1beta1.InferenceService")), {}
    )
    for step in path:
        properties = found.get("properties")
        if properties is None:  # the minimal definitions describe nothing
            return None
        if step not in properties:
            return False
        found = properties[step]
    return True


def _missing(kube: Kube, namespace: str, objects: list[dict[str, Any]]) -> Iterator[str]:
    version = kube.read("/version", "the cluster's version") or {}
    known = (_number(version.get("major")), _number(version.get("minor")))
    if known < KUBERNETES:
        yield f"Kubernetes {known[0]}.{known[1]}: 1.30 or newer is needed, for the sleep before a pod ends"
    # An account of another namespace, such as that of Kubeflow's pipelines, may not be allowed to look.
    seen = kube.may("get", "namespaces", namespace, name=namespace)
    if seen and kube.read(f"/api/v1/namespaces/{namespace}", f"namespace {namespace}") is None:
        yield f"namespace {namespace}: kubectl create namespace {namespace}"
        return
    if kube.read(f"/apis{_KSERVE}", "KServe") is None:
        yield "KServe: it is not installed; 0.16 or newer is needed"
    # The field came with 0.16, the first version that knows the mode Standard.
    elif has_field(kube, "spec", "predictor", "storageUris") is False:
        yield "KServe: its definitions are older than 0.16, which does not know the mode Standard"
    for right in _rights(kube, namespace):
        yield f"{right}: make cluster-setup NAMESPACE={namespace} ACCOUNT=NAME gives an account this right"
    yield from _mounted(kube, namespace, objects)


def _rights(kube: Kube, namespace: str) -> Iterator[str]:
    """Yield the rights to follow a rollout that this account lacks; those to apply are asked for with the objects."""
    for verb, resource in (("get", "apps/deployments"), ("list", "pods")):
        if not kube.may(verb, resource, namespace):
            yield f"the right to {verb} {resource.rpartition('/')[2]}"


def _mounted(kube: Kube, namespace: str, objects: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the secrets and claims that the pods would wait for in vain."""
    for secret in _secrets(objects) - _named(objects, "Secret", "ExternalSecret"):
        # Deploying asks for no right to read secrets: where they are hidden the pods tell.
        if kube.may("get", "secrets", namespace, name=secret) and not _there(kube, namespace, "secrets", secret):
            yield f"secret {secret}: almanac deploy keys --namespace {namespace}"
    for claim in _claims(objects) - _named(objects, "PersistentVolumeClaim"):
        if kube.may("get", "persistentvolumeclaims", namespace, name=claim) and not _there(
            kube, namespace, "persistentvolumeclaims", claim
        ):
            yield f"volume claim {claim}: make cluster-setup NAMESPACE={namespace} REGISTRY=DIRECTORY"


def _secrets(objects: list[dict[str, Any]]) -> set[str]:
    volumes = [one for item in objects if item["kind"] == "ServingRuntime" for one in item["spec"].get("volumes", [])]
    mounted = [one["secret"] for one in volumes if "secret" in one]
    return {one["secretName"] for one in mounted if not one.get("optional")}


def _claims(objects: list[dict[str, Any]]) -> set[str]:
    services = [item for item in objects if item["kind"] == "InferenceService"]
    addresses = [str(item["spec"]["predictor"]["model"].get("storageUri", "")) for item in services]
    return {one.removeprefix("pvc://").split("/")[0] for one in addresses if one.startswith("pvc://")}


def _named(objects: list[dict[str, Any]], *kinds: str) -> set[str]:
    return {item["metadata"]["name"] for item in objects if item["kind"] in kinds}


def _there(kube: Kube, namespace: str, plural: str, name: str) -> bool:
    return kube.read(f"/api/v1/namespaces/{namespace}/{plural}/{name}", name) is not None


def _number(text: Any) -> int:
    # A provider writes 30+ for its own builds.
    return int("".join(filter(str.isdigit, str(text))) or 0)
