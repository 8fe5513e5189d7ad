from typing import NamedTuple

from orchestration.component import component


class Preflight(NamedTuple):
    """Outputs of the component."""

    compiled: str
    fingerprint: str
    #: KFP's local runner finds the value of a condition under this name alone.
    Output: bool


@component
def preflight(compiled: str, overrides: str, base: str, registry: str, environment: str) -> Preflight:
    """Check the requirements of a training, and whether the registry already has the version that it would make.

    Args:
        compiled: Name and digest of the use case, which the variable ALMANAC_USE_CASE holds, or else the registry.
        overrides: Changed fields as a YAML mapping, such as {training.budget.trials: 3}; none when empty.
        base: Directory that the paths of file sources are relative to.
        registry: Address of the model registry: a path, s3:// or gs://.
        environment: local or cluster; only a cluster's rights and keys are checked, and only there a run ends early.

    Returns:
        compiled: Name and digest of the use case with the overrides, which the registry holds.
        fingerprint: The sha256 of the names and digests of all sources.
        Output: Whether the use case, the sources or the code differ from those of the version in production.
    """
    from pathlib import Path

    from components.preflight.task import run

    return Preflight(*run(compiled, overrides, Path(base), registry, environment))
