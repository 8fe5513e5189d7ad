from kfp import dsl

from orchestration.component import component


@component
def configuration(
    compiled: str,
    overrides: str,
    registry: str,
    environment: str,
    usecase: dsl.Output[dsl.Artifact],
    registers: bool = False,
) -> None:
    """Write the use case that the pipeline was compiled for, with overrides; check what the run needs.

    Args:
        compiled: Name and digest of the use case, which the variable ALMANAC_USE_CASE holds, or else the registry.
        overrides: Changed fields as a YAML mapping, such as {training.budget.trials: 3}; none when empty.
        registry: Address of the model registry, which has to be configured on a cluster.
        environment: local or cluster.
        usecase: The use case as JSON.
        registers: Whether the pipeline writes a signed version to the registry, which needs rights and a key.
    """
    from pathlib import Path

    from components.configuration.task import run

    usecase.metadata = run(compiled, overrides, registry, environment, Path(usecase.path), registers)
