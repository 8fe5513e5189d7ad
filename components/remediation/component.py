from kfp import dsl

from almanac.core.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def remediation(
    usecase: str,
    monitoring: dsl.Input[dsl.Artifact],
    base: str,
    registry: str,
    environment: str,
    runs: str,
    host: str,
    plan: dsl.Output[dsl.Artifact],
) -> None:
    """Plan a retraining with the sliding window; start it, or ask for approval, as the drift policy says.

    Args:
        usecase: The use case as JSON.
        monitoring: The windows and the decision, monitoring.json.
        base: Directory that file sources are relative to.
        registry: Address of the model registry, where the log of the remediation lies too.
        environment: local trains on this machine; cluster submits the training pipeline.
        runs: Directory that the run directory of a local training goes in.
        host: Address of the Kubeflow Pipelines API; the cluster's own when empty.
        plan: The plan with its digest, its difference and what became of it, as JSON.
    """
    from pathlib import Path

    from components.remediation.task import Settings, run

    settings = Settings(base, registry, environment, runs, host)
    plan.metadata = run(usecase, Path(monitoring.path), settings, Path(plan.path))
