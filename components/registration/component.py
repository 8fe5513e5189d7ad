from kfp import dsl

from almanac.core.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def registration(
    usecase: str,
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
    """Register the run's model with its figures and evidence as a version, and sign it.

    Args:
        usecase: The use case as JSON.
        model: The run's model directory.
        figures: Every figure with its interval, metrics.json.
        decision: The gate's decision, gate.json.
        lineage: Where the data came from, lineage.json.
        tuning: Record of the tuning, tuning.json.
        evaluation: Error analysis and explanations, evaluation.json.
        predictions: Truth, forecast and interval of every judged row.
        registry: Address of the model registry: a path, s3:// or gs://.
        environment: local or cluster; decides the approval policy and which key signs.
        registration: Version, address, event and signature, registration.json.
    """
    from pathlib import Path

    from almanac.usecase import load_text
    from governance.registration import Artifacts, register

    inputs = {"figures": figures, "decision": decision, "lineage": lineage, "tuning": tuning}
    inputs |= {"evaluation": evaluation, "predictions": predictions}
    artifacts = Artifacts.of(model.path, **{name: each.path for name, each in inputs.items()})
    register(load_text(usecase, "usecase"), artifacts, registry, environment, Path(registration.path))
