"""The Kubernetes objects of a served version, from the template `objects.yaml`."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import yaml

from almanac.core.files import sha256_bytes

#: Where KServe mounts the model directory.
_MOUNT = "/mnt/models"
#: Annotations of the InferenceService that KServe copies to its pods.
VERSION, DIGEST, CANARY = "almanac.io/version", "almanac.io/manifest-sha256", "almanac.io/canary"
#: Addresses that KServe mounts by itself: a volume claim, and an image beside the server.
MOUNTED = ("pvc://", "oci://")
_TEMPLATE = Path(__file__).with_name("objects.yaml")
_EDGES = Path(__file__).with_name("edges.yaml")


def service_name(use_case: str) -> str:
    """Return the name of a use case's objects, in characters that Kubernetes allows."""
    return use_case.replace("_", "-")


@dataclass(frozen=True)
class Deployment:
    """The values of one version's manifest.

    Attributes:
        use_case: Name of the use case.
        version: Number of the version in the registry.
        digest: sha256 of the version's manifest.
        storage_uri: Address of the published model directory.
        loading: server, which reads an object store itself, initializer: KServe's, which writes the directory to the
            pod before the server starts, or oci://REPOSITORY: an image that runs beside the server. A volume claim is
            mounted by KServe in all.
        image: The serving image.
        namespace: Namespace.
        min_replicas: Fewest pods.
        max_replicas: Most pods.
        labels: Further labels.
    """

    use_case: str
    version: int
    digest: str
    storage_uri: str
    image: str
    namespace: str
    min_replicas: int
    max_replicas: int
    labels: dict[str, str] = field(default_factory=dict)
    loading: str = "server"

    @property
    def mounted(self) -> bool:
        """Whether KServe puts the model directory into the pod."""
        return self.loading == "initializer" or self.storage_uri.startswith(MOUNTED)

    @property
    def initialized(self) -> bool:
        """Whether KServe's initializer reads an object store, with the credentials of a secret."""
        # An image is pulled with the pull secrets of the pod's account, and a claim needs none.
        return self.loading == "initializer" and not self.storage_uri.startswith(MOUNTED)

    @property
    def name(self) -> str:
        """Name of the objects, in characters that Kubernetes allows."""
        return service_name(self.use_case)

    @property
    def runtime(self) -> str:
        """Name of the ServingRuntime, of the use case and of the image.

        A runtime that changes rolls every service that uses it, the old model's pods first; a service that moves to
        another runtime rolls once.
        """
        return f"almanac-{self.name}-{sha256_bytes(self.image.encode())[:8]}"


def render(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the objects in the order in which they are applied."""
    objects = _fill(_TEMPLATE, deployment)
    for item in objects:
        item["metadata"]["labels"] |= deployment.labels
    _storage(next(item for item in objects if item["kind"] == "InferenceService"), deployment)
    return objects


def render_edges(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the optional objects around a version: Ingress, HTTPRoute, ExternalSecret and PersistentVolumeClaim."""
    return _fill(_EDGES, deployment)


def _fill(template: Path, deployment: Deployment) -> list[dict[str, Any]]:
    values = {**vars(deployment), "name": deployment.name, "runtime": deployment.runtime}
    # Labels and annotations are text: a version must not become a number.
    values |= {"version": str(deployment.version), "predictor": f"{deployment.name}-predictor"}
    values["model"] = _MOUNT if deployment.mounted else deployment.storage_uri
    # JSON is YAML: quoted like this, no value can change the document's structure.
    quoted = {name: json.dumps(value) for name, value in values.items()}
    objects: list[dict[str, Any]] = list(yaml.safe_load_all(Template(template.read_text("utf-8")).substitute(quoted)))
    return objects


def _storage(service: dict[str, Any], deployment: Deployment) -> None:
    """Remove from a service the fields of other ways of loading."""
    if deployment.mounted:
        del service["spec"]["predictor"]["initContainers"]
    if not deployment.initialized:
        del service["metadata"]["annotations"]["serving.kserve.io/storageSecretName"]


def to_yaml(objects: list[dict[str, Any]]) -> str:
    """Return the objects as one YAML file of several documents, the same bytes for the same objects."""
    return yaml.safe_dump_all(objects, sort_keys=False, width=120)
