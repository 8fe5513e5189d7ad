from kfp import dsl

from orchestration.component import component


@component
def monitoring(
    usecase: dsl.Input[dsl.Artifact],
    table: dsl.Input[dsl.Dataset],
    predictions: dsl.Input[dsl.Dataset],
    registry: str,
    environment: str,
    log: str,
    push: str,
    as_of: str,
    monitoring: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
) -> bool:
    """Join predictions with the truth, evaluate the last windows, and decide by the drift policy whether they breach.

    Args:
        usecase: The use case as JSON.
        table: The validated table, with the truth.
        predictions: Predictions of the last windows by the model in production; used where there is no log.
        registry: Address of the model registry.
        environment: cluster publishes the run in the registry's store, where the operations room reads it; local does
            not, as the run has a directory.
        log: Directory or URL of the prediction log of servers and of the task prediction; when empty that of the
            config map almanac, if there is one.
        push: Directory of an exporter or address of a Pushgateway for the metrics; nothing is pushed when empty.
        as_of: The present in ISO 8601; the use case's date for an archive, or the clock, when empty.
        monitoring: Drift, errors, coverage and reasons of every window, and the decision, as JSON.
        report: The same for people, with plots over time.

    Returns:
        Whether enough of the last windows breach, the newest among them.
    """
    from datetime import UTC, datetime
    from pathlib import Path

    from components.monitoring.task import publish, run
    from monitoring.windows.monitor import Sources

    started, case = datetime.now(UTC), Path(usecase.path).read_text(encoding="utf-8")
    sources = Sources(Path(table.path), Path(predictions.path), registry, log, as_of)
    breached, monitoring.metadata = run(case, sources, push, Path(monitoring.path), Path(report.path))
    if environment == "cluster":
        publish(sources, started, Path(monitoring.path), Path(report.path))
    return breached
