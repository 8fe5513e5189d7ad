"""Entry point of the configuration component."""

import os
from pathlib import Path
from typing import Any

from almanac.core.errors import PipelineError, RegistryError
from almanac.core.files import write_text
from almanac.core.progress import summary
from almanac.usecase import UseCase, digest, dump
from almanac.usecase.override import override
from almanac.usecase.packed import VARIABLE, label, parse_label, unpack
from governance import signing
from governance.registry.carried import read_use_case
from governance.registry.stores import open_store

_STORE = (
    "pods write with the keys of the secret almanac-store, `kubectl create secret generic almanac-store "
    "--from-literal=access_key=KEY --from-literal=secret_key=SECRET`, or as their service account"
)


def run(
    compiled: str, overrides: str, registry: str, environment: str, out: Path, registers: bool = False
) -> dict[str, Any]:
    """Read the use case, apply the overrides, write it, and return the artifact's metadata.

    Args:
        compiled: name and digest of the use case.
        overrides: changed fields as a YAML mapping; none when empty.
        registry: address of the model registry.
        environment: local or cluster.
        out: the file to write.
        registers: whether the pipeline writes a signed version to the registry.

    Raises:
        PipelineError: neither the pipeline nor the registry holds the use case, or the pipeline that of another
            compilation; or a cluster lacks the registry's address, the right to write to it, or the key to sign with.
        UseCaseError: an override that breaks a rule.
    """
    # Here, because this is the first task: a later one would find out after an hour of training.
    _check_registry(registry, environment)
    if registers and environment == "cluster":
        _check_rights(registry)
    usecase = _read(compiled, registry)
    # The cluster's cache sees parameters but not variables, so that the label decides what is reused.
    if label(usecase) != compiled:
        raise PipelineError(f"{VARIABLE} holds {label(usecase)}, not {compiled}; compile and upload the pipeline again")
    changed = override(usecase, overrides)
    write_text(out, dump(changed))
    summary(f"{changed.name}, digest {digest(changed)[:12]}")
    return {"use_case": changed.name, "use_case_digest": digest(changed)}


def _check_rights(registry: str) -> None:
    """Refuse a run that could not register its model."""
    try:
        open_store(registry).probe()
    except RegistryError as error:
        raise PipelineError(f"{error}; {_STORE}") from None
    if not signing.keyless():
        signing.signing_key("cluster")


def _read(compiled: str, registry: str) -> UseCase:
    """Return the use case that the pipeline carries, or else that of the registry."""
    packed = os.environ.get(VARIABLE)
    if packed:
        return unpack(packed)
    return read_use_case(open_store(registry), *parse_label(compiled))


def _check_registry(registry: str, environment: str) -> None:
    if environment == "cluster" and registry in ("", "registry") and not os.environ.get("ALMANAC_REGISTRY"):
        raise PipelineError(
            "no registry: the config map almanac of this namespace has no key registry; run `kubectl create configmap "
            "almanac --from-literal=registry=s3://BUCKET/registry`, or give the run's parameter registry an address"
        )
