from kfp import dsl

from orchestration.component import component


@component
def deployment(
    usecase: dsl.Input[dsl.Artifact],
    promoted: bool,
    registry: str,
    environment: str,
    push: str,
    manifest: dsl.Output[dsl.Artifact],
) -> None:
    """Render the InferenceService of the promoted version; on a cluster apply it and wait until it is ready.

    Args:
        usecase: The use case as JSON.
        promoted: Whether this run's version went to production; nothing is done while it awaits an approval.
        registry: Address of the model registry.
        environment: local only renders; cluster applies, and rolls back if the new version does not get ready.
        push: Directory of an exporter or a Pushgateway for the metrics that the version promises; none when empty.
        manifest: The objects as YAML, for kubectl apply.
    """
    from pathlib import Path

    from components.deployment.task import awaited, run

    if not promoted:
        awaited()
        return
    case = Path(usecase.path).read_text(encoding="utf-8")
    manifest.metadata = run(case, registry, environment, Path(manifest.path), push)
