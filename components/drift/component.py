from kfp import dsl

from orchestration.component import component


@component
def drift(
    usecase: dsl.Input[dsl.Artifact],
    table: dsl.Input[dsl.Dataset],
    registry: str,
    drift: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
) -> bool:
    """Compare the newest window with the reference of the model in production, or with the training span before that.

    For a model in production, predictions, residuals and importances are compared as well.

    Args:
        usecase: The use case as JSON.
        table: The validated table, or a feature table.
        registry: Address of the model registry; only the training span is a reference when empty.
        drift: The statistics of columns and of each target's outputs, and findings, as JSON.
        report: The same for people, with histograms over time.

    Returns:
        Whether a column or an output has drifted.
    """
    from pathlib import Path

    from components.drift.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    drifted, drift.metadata = run(case, Path(table.path), registry, Path(drift.path), Path(report.path))
    report.metadata = drift.metadata
    return drifted
