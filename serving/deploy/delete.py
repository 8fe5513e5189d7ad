"""Deletion of everything that deployments of a use case have left on a cluster."""

from collections.abc import Iterator

from serving.deploy.kube import PLURALS, Kube
from serving.deploy.manifests import service_name

#: Where each kind lives, in an order in which a service goes before its runtime.
_GROUPS = {
    "Ingress": "networking.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "InferenceService": "serving.kserve.io/v1beta1",
    "ServingRuntime": "serving.kserve.io/v1alpha1",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
}


def delete_all(kube: Kube, use_case: str, namespace: str) -> Iterator[str]:
    """Delete the objects of a use case in a namespace, by their labels; yield each by kind and name.

    Raises:
        DeploymentError: the cluster refused, or did not answer.
    """
    labels = {"app.kubernetes.io/name": service_name(use_case), "app.kubernetes.io/part-of": "almanac"}
    selector = {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())}
    for kind, group in _GROUPS.items():
        found = kube.read(f"/apis/{group}/namespaces/{namespace}/{PLURALS[kind]}", f"each {kind}", selector) or {}
        for item in found.get("items", []):
            kube.delete({"apiVersion": group, "kind": kind, "metadata": item["metadata"]})
            yield f"{kind} {item['metadata']['name']}"
