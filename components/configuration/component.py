from kfp import dsl

from orchestration.component import component


@component
def configuration(
    compiled: str,
    overrides: str,
    registry: str,
    environment: str,
    usecase: dsl.Output[dsl.Artifact],
) -> None:
    """Write the use case that the pipeline was compiled for, with overrides.

    Args:
        compiled: Name and digest of the use case, which the variable ALMANAC_USE_CASE holds, or else the registry.
        overrides: Changed fields as a YAML mapping, such as {training.budget.trials: 3}; none when empty.
        registry: Address of the model registry, which has to be configured on a cluster.
        environment: local or cluster.
        usecase: The use case as JSON.
    """
    from pathlib import Path

    from components.configuration.task import run

    usecase.metadata = run(compiled, overrides, registry, environment, Path(usecase.path))
