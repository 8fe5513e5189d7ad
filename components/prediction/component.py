from kfp import dsl

from orchestration.component import component


@component
def prediction(
    usecase: dsl.Input[dsl.Artifact],
    table: dsl.Input[dsl.Dataset],
    registry: str,
    start: str,
    stop: str,
    log: str,
    predictions: dsl.Output[dsl.Dataset],
) -> None:
    """Predict a span of a validated table by the model in production, with intervals and decision signals.

    Args:
        usecase: The use case as JSON.
        table: The validated table.
        registry: Address of the model registry.
        start: First prediction time in ISO 8601, or windows:3 for so many drift windows; the newest time when empty.
        stop: End of the span in ISO 8601, exclusive; the end of the table when empty.
        log: Directory of the prediction log, a path, s3:// or gs://; nothing is logged when empty.
        predictions: Time, target, prediction, interval, signal, model version and digest of every row, as Parquet.
    """
    from pathlib import Path

    from components.prediction.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    predictions.metadata = run(case, Path(table.path), registry, (start, stop), log, Path(predictions.path))
