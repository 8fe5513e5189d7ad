from typing import NamedTuple

from kfp import dsl

from orchestration.component import component


class Preflight(NamedTuple):
    """Outputs of the component."""

    fingerprint: str
    #: KFP's local runner finds the value of a condition under this name alone.
    Output: bool


@component
def preflight(usecase: dsl.Input[dsl.Artifact], base: str, registry: str, environment: str) -> Preflight:
    """Check the requirements of a training, and whether the registry already has the version that it would make.

    Args:
        usecase: The use case as JSON.
        base: Directory that the paths of file sources are relative to.
        registry: Address of the model registry: a path, s3:// or gs://.
        environment: local or cluster; only a cluster's rights and keys are checked, and only there a run ends early.

    Returns:
        fingerprint: The sha256 of the names and digests of all sources.
        Output: Whether the use case, the sources or the code differ from those of the version in production.
    """
    from pathlib import Path

    from components.preflight.task import run

    return Preflight(*run(Path(usecase.path).read_text(encoding="utf-8"), Path(base), registry, environment))
