from kfp import dsl

from orchestration.component import component


@component
def gate(
    usecase: dsl.Input[dsl.Artifact],
    figures: dsl.Input[dsl.Artifact],
    predictions: dsl.Input[dsl.Dataset],
    table: dsl.Input[dsl.Dataset],
    registry: str,
    decision: dsl.Output[dsl.Artifact],
    judged: dsl.Output[dsl.Dataset],
) -> bool:
    """Decide by the use case's rules whether the model may be registered; closed by default.

    Args:
        usecase: The use case as JSON.
        figures: The evaluation's metrics, metrics.json.
        predictions: The evaluation's scored rows, predictions.parquet.
        table: The validated table, from which the registered model's features are computed.
        registry: Address of the model registry: a path, s3:// or gs://.
        decision: Every check with its metric, bound and margin, gate.json.
        judged: The scored rows with the registered model's forecast for each, predictions.parquet.

    Returns:
        Whether every rule holds.
    """
    from pathlib import Path

    from almanac.usecase import load
    from almanac.usecase.views import reads
    from components.gate.task import run

    inputs = (Path(figures.path), Path(predictions.path), Path(table.path))
    passed = run(reads(load(Path(usecase.path)), "gate"), inputs, registry, Path(decision.path), Path(judged.path))
    # By name, because on a cluster the metadata of an input hold the store's own keys, its display name among them.
    keys = ("use_case", "use_case_digest", "features_digest", "model_digest")
    for output in (decision, judged):
        output.metadata.update({key: figures.metadata[key] for key in keys}, passed=passed)
    return passed
