from kfp import dsl

from almanac.core.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def drift(
    usecase: str,
    table: dsl.Input[dsl.Dataset],
    registry: str,
    drift: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
) -> bool:
    """Compare the newest window with the reference of the model in production, or with the training span before that.

    Of a model in production the predictions, the residuals and the importances are compared as well.

    Args:
        usecase: The use case as JSON.
        table: The validated table, or a feature table.
        registry: Address of the model registry; no model is looked for when empty.
        drift: The judged columns and outputs of each target's model, and findings, as JSON.
        report: The same for people, with histograms over time.

    Returns:
        Whether anything has drifted that counts.
    """
    from pathlib import Path

    from components.drift.task import run

    drifted, drift.metadata = run(usecase, Path(table.path), registry, Path(drift.path), Path(report.path))
    report.metadata = drift.metadata
    return drifted
