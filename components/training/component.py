from kfp import dsl

from orchestration.component import component


@component
def training(
    usecase: dsl.Input[dsl.Artifact],
    table: dsl.Input[dsl.Dataset],
    features: dsl.Input[dsl.Dataset],
    specification: dsl.Input[dsl.Artifact],
    model: dsl.Output[dsl.Model],
    tuning: dsl.Output[dsl.Artifact],
    tracking: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Tune the candidates of every target on time-ordered folds, choose, refit, and calibrate intervals.

    Args:
        usecase: The use case as JSON.
        table: The validated table, whose columns the drift reference profiles.
        features: The feature table with the truth and the last known value of every target.
        specification: The feature specification with its fitted transforms, as JSON.
        model: The model directory, one complete model a target, and the out-of-fold predictions.
        tuning: Every trial, the comparison on the same rows, and the choice, as JSON.
        tracking: The offline Comet archive and its record.
        metrics: The chosen candidates' losses on the folds, for the user interface.
    """
    from pathlib import Path

    from components.training.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    inputs = [Path(each.path) for each in (features, specification, table)]
    model.metadata, figures = run(case, inputs, Path(model.path), Path(tuning.path), Path(tracking.path))
    for name, value in figures.items():
        metrics.log_metric(name, value)
