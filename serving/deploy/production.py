"""Write the manifest of the version in production."""

from pathlib import Path
from typing import Any

import yaml

from almanac.core.errors import DeploymentError
from almanac.core.files import write_text
from almanac.core.image import SERVING_IMAGE
from almanac.usecase import UseCase
from governance.registry import Registry, Version
from serving.deploy.canary import Mode, render_canary
from serving.deploy.helm import values_of
from serving.deploy.manifests import Deployment, render, service_name, to_yaml

#: Name of the volume claim for a registry on a disk: mount it where the registry lies.
REGISTRY_CLAIM = "almanac-registry"


def write_manifest(
    usecase: UseCase, registry_url: str, out: Path, selector: str = "production"
) -> list[dict[str, Any]]:
    """Write the manifest of a version and return its objects.

    Args:
        usecase: The use case.
        registry_url: Address of the registry; the model is published there for KServe's storage initializer.
        out: Where to write the objects, as one YAML file.
        selector: The version's number, stage or alias.

    Raises:
        DeploymentError: no version is in production.
        RegistryError: there is no such version, or it was rejected.
    """
    objects = render(_described(usecase, registry_url, selector))
    write_text(out, to_yaml(objects))
    return objects


def write_values(usecase: UseCase, registry_url: str, out: Path) -> None:
    """Write the Helm chart's values for the version in production; arguments and errors as `write_manifest`."""
    write_text(out, yaml.safe_dump(values_of(_described(usecase, registry_url, "production")), sort_keys=False))


def _described(usecase: UseCase, registry_url: str, selector: str) -> Deployment:
    registry = Registry(registry_url)
    version = registry.current(usecase.name) if selector == "production" else registry.version(usecase.name, selector)
    if version is None:
        raise DeploymentError(f"{usecase.name}: no version is in production in the registry {registry_url}")
    return describe(usecase, version, registry.publish(usecase.name, version.number))


def write_canary(usecase: UseCase, registry_url: str, out: Path, canary: str, mode: Mode) -> list[dict[str, Any]]:
    """Write the manifest of the version in production with a canary, and return its objects.

    Args:
        usecase: The use case.
        registry_url: As `write_manifest`.
        out: As `write_manifest`.
        canary: The new version and its percentage of the traffic, such as 3=5.
        mode: KServe's mode of deployment.

    Raises:
        DeploymentError: no version is in production, or another form.
        RegistryError: there is no such version.
    """
    number, _, percent = canary.partition("=")
    if not number.isdigit() or not percent.isdigit():
        raise DeploymentError(f"--canary {canary}: write VERSION=PERCENT, such as 3=5")
    registry = Registry(registry_url)
    running = registry.current(usecase.name)
    if running is None:
        raise DeploymentError(f"{usecase.name}: no version is in production in the registry {registry_url}")
    new = registry.version(usecase.name, number)
    described = [describe(usecase, one, registry.publish(usecase.name, one.number)) for one in (running, new)]
    objects = render_canary(described[0], described[1], int(percent), mode)
    write_text(out, to_yaml(objects))
    return objects


def describe(usecase: UseCase, version: Version, published: str) -> Deployment:
    """Return the manifest's values for a version whose model directory was published at an address.

    With `serving.loading: oci://REPOSITORY` it is in an image, named as `image_uri` says.
    """
    loading = usecase.serving.loading
    return Deployment(
        use_case=usecase.name,
        version=version.number,
        digest=version.manifest,
        storage_uri=image_uri(loading, usecase.name, version.number) if "://" in loading else storage_uri(published),
        loading=loading,
        image=SERVING_IMAGE,
        namespace=usecase.serving.namespace,
        min_replicas=usecase.serving.min_replicas,
        max_replicas=max(usecase.serving.max_replicas, usecase.serving.min_replicas),
    )


def image_uri(repository: str, use_case: str, version: int) -> str:
    """Return the address of the image that holds a version's model directory, below an address oci://REPOSITORY."""
    return f"{repository}/{service_name(use_case)}:{version}"


def storage_uri(published: str) -> str:
    """Return the address for KServe's storage initializer: object stores unchanged, disks as a volume claim."""
    if "://" in published and not published.startswith("file://"):
        return published
    folder = published.removeprefix("file://")
    return f"pvc://{REGISTRY_CLAIM}/{folder[folder.index('use_cases/') :]}"
