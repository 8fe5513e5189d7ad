from kfp import dsl

from orchestration.component import component


@component
def registration(
    usecase: dsl.Input[dsl.Artifact],
    model: dsl.Input[dsl.Model],
    figures: dsl.Input[dsl.Artifact],
    decision: dsl.Input[dsl.Artifact],
    lineage: dsl.Input[dsl.Artifact],
    tuning: dsl.Input[dsl.Artifact],
    evaluation: dsl.Input[dsl.Artifact],
    predictions: dsl.Input[dsl.Dataset],
    registry: str,
    environment: str,
    registration: dsl.Output[dsl.Artifact],
) -> None:
    """Register the run's model with its metrics and records as a version, and sign it; fail if the gate is closed.

    Args:
        usecase: The use case as JSON.
        model: The run's model directory.
        figures: Every metric with its interval, metrics.json.
        decision: The gate's decision, gate.json.
        lineage: The sources of the data, lineage.json.
        tuning: Record of the tuning, tuning.json.
        evaluation: Error analysis and explanations, evaluation.json.
        predictions: Truth, forecast and interval of every evaluated row.
        registry: Address of the model registry: a path, s3:// or gs://.
        environment: local or cluster; selects the approval policy and the signing key.
        registration: Version, address, event and signature, registration.json.
    """
    from pathlib import Path

    from components.registration.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    inputs = {"figures": figures, "decision": decision, "lineage": lineage, "tuning": tuning}
    inputs |= {"evaluation": evaluation, "predictions": predictions}
    paths = {name: artifact.path for name, artifact in inputs.items()}
    run(case, model.path, paths, registry, environment, registration.path)
    # What the training took differs from run to run, so that it is in no file before the documents.
    registration.metadata["compute"] = model.metadata.get("compute", {})
