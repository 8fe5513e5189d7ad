from kfp import dsl

from orchestration.component import component


@component
def preprocessing(
    usecase: dsl.Input[dsl.Artifact],
    table: dsl.Input[dsl.Dataset],
    features: dsl.Output[dsl.Dataset],
    specification: dsl.Output[dsl.Artifact],
) -> None:
    """Compute the features and targets of a validated table, and fit their transforms on the training rows.

    Args:
        usecase: The use case as JSON.
        table: The validated table.
        features: Time, entity, features, and the value ahead and the last known value of each target, as Parquet.
        specification: The feature specification with the fitted transforms, as JSON.
    """
    from pathlib import Path

    from components.preprocessing.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    features.metadata, specification.metadata = run(
        case, Path(table.path), Path(features.path), Path(specification.path)
    )
