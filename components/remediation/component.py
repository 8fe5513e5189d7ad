from kfp import dsl

from orchestration.component import component


@component
def remediation(
    usecase: dsl.Input[dsl.Artifact],
    monitoring: dsl.Input[dsl.Artifact],
    base: str,
    registry: str,
    environment: str,
    runs: str,
    host: str,
    execute: str,
    plan: dsl.Output[dsl.Artifact],
) -> None:
    """Plan a retraining with the sliding window; start it or ask for approval, by the drift policy.

    Args:
        usecase: The use case as JSON.
        monitoring: The windows and the decision, monitoring.json.
        base: Directory that file sources are relative to.
        registry: Address of the model registry, which also keeps the audit log of retrainings.
        environment: local trains on this machine; cluster submits the training pipeline.
        runs: Directory that the run directory of a local training goes in.
        host: Address of the Kubeflow Pipelines API; the cluster's own when empty.
        execute: Arguments of Python that start the application's command to execute a plan.
        plan: The plan with its digest, its difference and its outcome, as JSON.
    """
    from pathlib import Path

    from components.remediation.task import Settings, run

    case = Path(usecase.path).read_text(encoding="utf-8")
    settings = Settings(base, registry, environment, runs, host, execute)
    plan.metadata = run(case, Path(monitoring.path), settings, Path(plan.path))
