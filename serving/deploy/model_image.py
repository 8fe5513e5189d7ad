"""The image of a version's model directory, which KServe runs in the server's pod (a modelcar)."""

import shutil
from pathlib import Path

from almanac.core.errors import DeploymentError
from almanac.core.files import whole_directory, write_text
from almanac.usecase import UseCase
from governance.registry import Registry, resolve
from serving.deploy.production import image_uri

#: KServe links the directory from a shell of the image, which it gives as arguments.
_DOCKERFILE = """\
ARG BASE=busybox:1.37
FROM ${BASE}
ENTRYPOINT []
COPY models /models
"""


def write_model_image(usecase: UseCase, registry_url: str, out: Path, selector: str = "production") -> str:
    """Write a Dockerfile and the model directory, from which a version's image is built; return the image's name.

    Args:
        usecase: the use case, whose `serving.loading` names the repository.
        registry_url: address of the registry.
        out: directory to write.
        selector: the version's number, stage or alias.

    Raises:
        DeploymentError: the use case names no repository.
        RegistryError: there is no such version, it was rejected, or a byte of it is wrong.
    """
    if "://" not in usecase.serving.loading:
        raise DeploymentError(
            f"{usecase.name}: serving.loading is {usecase.serving.loading}, which needs no image; "
            "for one it is oci://REPOSITORY, such as oci://ghcr.io/acme/models"
        )
    version = Registry(registry_url).version(usecase.name, selector)
    model = resolve(f"registry:{usecase.name}/{version.number}", registry_url, allow_rejected=False)
    with whole_directory(out) as aside:
        shutil.copytree(model, aside / "models")
        write_text(aside / "Dockerfile", _DOCKERFILE)
        # The server runs as a user of its own.
        for path in (aside / "models", *(aside / "models").rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    return image_uri(usecase.serving.loading, usecase.name, version.number).removeprefix("oci://")
