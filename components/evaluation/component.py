from kfp import dsl

from orchestration.component import component


@component
def evaluation(
    usecase: dsl.Input[dsl.Artifact],
    features: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    tuning: dsl.Input[dsl.Artifact],
    figures: dsl.Output[dsl.Artifact],
    evaluation: dsl.Output[dsl.Artifact],
    predictions: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Evaluate every target's model on the held-out span: metrics with intervals, skill, slices, explanations, report.

    Args:
        usecase: The use case as JSON.
        features: The feature table with the truth and the last known value of every target.
        model: The run's model directory.
        tuning: Record of the tuning.
        figures: Every metric with its interval, metrics.json.
        evaluation: Error analysis and explanations, evaluation.json.
        predictions: Truth, forecast, interval and baselines of every scored row.
        report: The report for people.
        metrics: The leading metrics, for the user interface.
    """
    from pathlib import Path

    from components.evaluation.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    outputs = (figures, evaluation, predictions, report)
    paths = (Path(features.path), Path(model.path), Path(tuning.path))
    provenance, leading = run(case, *paths, [output.path for output in outputs])
    for output in outputs:
        output.metadata.update(provenance)
    metrics.metadata.update(leading)
