from kfp import dsl

from orchestration.component import component


@component
def documentation(
    usecase: dsl.Input[dsl.Artifact],
    model: dsl.Input[dsl.Model],
    figures: dsl.Input[dsl.Artifact],
    decision: dsl.Input[dsl.Artifact],
    lineage: dsl.Input[dsl.Artifact],
    tuning: dsl.Input[dsl.Artifact],
    evaluation: dsl.Input[dsl.Artifact],
    predictions: dsl.Input[dsl.Dataset],
    registration: dsl.Input[dsl.Artifact],
    registry: str,
    governance: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
) -> bool:
    """Write, verify and attach the version's governance documents; promote it if no approval is needed.

    Args:
        usecase: The use case as JSON, with its statements.
        model: The run's model directory.
        figures: Every metric with its interval, metrics.json.
        decision: The gate's decision, gate.json.
        lineage: The sources of the data, lineage.json.
        tuning: Record of the tuning, tuning.json.
        evaluation: Error analysis and explanations, evaluation.json.
        predictions: Truth, forecast and interval of every evaluated row.
        registration: Version, address, event and signature, registration.json.
        registry: Address of the model registry: a path, s3:// or gs://.
        governance: Directory of all documents with their references and manifest.
        page: All documents on one page, for the user interface.

    Returns:
        Whether the version is in production.
    """
    from pathlib import Path

    from components.documentation.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    inputs = {"figures": figures, "decision": decision, "lineage": lineage, "tuning": tuning}
    inputs |= {"evaluation": evaluation, "predictions": predictions}
    paths = {name: artifact.path for name, artifact in inputs.items()}
    usage = model.metadata.get("compute", {})
    return run(case, model.path, paths, registration.path, registry, governance.path, page.path, usage)
