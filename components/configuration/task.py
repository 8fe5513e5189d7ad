"""Entry point of the configuration component."""

import os
from pathlib import Path
from typing import Any

from almanac.core.errors import PipelineError
from almanac.core.files import write_text
from almanac.core.progress import summary
from almanac.usecase import digest, dump
from almanac.usecase.override import override
from almanac.usecase.packed import VARIABLE, label, unpack


def run(compiled: str, overrides: str, registry: str, environment: str, out: Path) -> dict[str, Any]:
    """Unpack the use case, apply the overrides, write it, and return the artifact's metadata.

    Raises:
        PipelineError: the pipeline carries no use case, or that of another compilation; or a cluster's config map
            with the registry's address is missing.
        UseCaseError: an override that breaks a rule.
    """
    # Here, because this is the first task: a later one would find out after an hour of training.
    _check_registry(registry, environment)
    packed = os.environ.get(VARIABLE)
    if not packed:
        raise PipelineError(f"{VARIABLE} is not set; compile the pipeline with `almanac compile` and upload it again")
    usecase = unpack(packed)
    # The cluster's cache sees parameters but not variables, so that the label decides what is reused.
    if label(usecase) != compiled:
        raise PipelineError(f"{VARIABLE} holds {label(usecase)}, not {compiled}; compile and upload the pipeline again")
    changed = override(usecase, overrides)
    write_text(out, dump(changed))
    summary(f"{changed.name}, digest {digest(changed)[:12]}")
    return {"use_case": changed.name, "use_case_digest": digest(changed)}


def _check_registry(registry: str, environment: str) -> None:
    if environment == "cluster" and registry in ("", "registry") and not os.environ.get("ALMANAC_REGISTRY"):
        raise PipelineError(
            "no registry: the config map almanac of this namespace has no key registry; run `kubectl create configmap "
            "almanac --from-literal=registry=s3://BUCKET/registry`, or give the run's parameter registry an address"
        )
