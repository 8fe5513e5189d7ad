from kfp import dsl

from almanac.core.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def documentation(
    usecase: str,
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
    """Write, verify and attach the version's governance documents; promote it where no approval is asked for.

    Args:
        usecase: The use case as JSON, with what people must state.
        model: The run's model directory.
        figures: Every figure with its interval, metrics.json.
        decision: The gate's decision, gate.json.
        lineage: Where the data came from, lineage.json.
        tuning: Record of the tuning, tuning.json.
        evaluation: Error analysis and explanations, evaluation.json.
        predictions: Truth, forecast and interval of every judged row.
        registration: Version, address, event and signature, registration.json.
        registry: Address of the model registry: a path, s3:// or gs://.
        governance: Directory of all documents with their references and manifest.
        page: All documents on one page, for the user interface.

    Returns:
        Whether the version stands in production.
    """
    import shutil
    from pathlib import Path

    from almanac.usecase import load_text
    from governance.documentation import document
    from governance.registration import Artifacts

    inputs = {"figures": figures, "decision": decision, "lineage": lineage, "tuning": tuning}
    inputs |= {"evaluation": evaluation, "predictions": predictions}
    artifacts = Artifacts.of(model.path, **{name: each.path for name, each in inputs.items()})
    told = Path(registration.path)
    version = document(load_text(usecase, "usecase"), artifacts, told, registry, Path(governance.path))
    shutil.copyfile(Path(governance.path) / "index.html", page.path)
    return version.stage == "production"
