from kfp import dsl

from orchestration.component import component


@component
def validation(
    usecase: dsl.Input[dsl.Artifact],
    table: dsl.Input[dsl.Dataset],
    validated: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
) -> None:
    """Check a table against every rule of its use case, and complete its grid, if it has one.

    Args:
        usecase: The use case as JSON.
        table: The ingested table.
        validated: The valid table as Parquet, sorted; of a grid one row for every step.
        report: Findings, and plots of the data.
    """
    from pathlib import Path

    from components.validation.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    validated.metadata = run(case, Path(table.path), Path(validated.path), Path(report.path))
