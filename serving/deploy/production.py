"""Deployment: from the production version in the registry to an InferenceService, and on to a cluster."""

from pathlib import Path
from typing import Any

from almanac.core.errors import DeploymentError
from almanac.core.files import write_text
from almanac.core.image import SERVING_IMAGE
from almanac.usecase import UseCase
from governance.registry import Registry, Version
from serving.deploy.manifests import Deployment, render, to_yaml

__all__ = ["describe", "write_manifest"]

#: The claim that stands for a registry on a disk: mount it where the registry lies.
REGISTRY_CLAIM = "almanac-registry"


def write_manifest(usecase: UseCase, registry_url: str, out: Path) -> list[dict[str, Any]]:
    """Write the manifest of the version in production and return its objects.

    Args:
        usecase: The use case.
        registry_url: Address of the registry; the model is laid out there for KServe's storage initializer.
        out: Where to write the objects, as one YAML file.

    Raises:
        DeploymentError: no version stands in production.
    """
    registry = Registry(registry_url)
    version = registry.current(usecase.name)
    if version is None:
        raise DeploymentError(f"{usecase.name}: no version stands in production in the registry {registry_url}")
    return _write(usecase, version, registry.publish(usecase.name, version.number), out)


def describe(usecase: UseCase, version: Version, published: str) -> Deployment:
    """Return what the manifest says of a version whose model directory was published at an address."""
    return Deployment(
        use_case=usecase.name,
        version=version.number,
        digest=version.manifest,
        storage_uri=storage_uri(published),
        image=SERVING_IMAGE,
        namespace=usecase.serving.namespace,
        min_replicas=usecase.serving.min_replicas,
        max_replicas=max(usecase.serving.max_replicas, usecase.serving.min_replicas),
    )


def storage_uri(published: str) -> str:
    """Return the address that KServe's storage initializer knows: object stores as they are, disks as a claim."""
    if "://" in published and not published.startswith("file://"):
        return published
    folder = published.removeprefix("file://")
    return f"pvc://{REGISTRY_CLAIM}/{folder[folder.index('use_cases/') :]}"


def _write(usecase: UseCase, version: Version, published: str, out: Path) -> list[dict[str, Any]]:
    objects = render(describe(usecase, version, published))
    write_text(out, to_yaml(objects))
    return objects
