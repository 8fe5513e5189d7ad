from kfp import dsl

from orchestration.component import component


@component
def ingestion(
    usecase: dsl.Input[dsl.Artifact],
    base: str,
    table: dsl.Output[dsl.Dataset],
    lineage: dsl.Output[dsl.Artifact],
    fingerprint: str = "",
) -> None:
    """Fetch, read and join the sources of a use case.

    Args:
        usecase: The use case as JSON.
        base: Directory that the paths of file sources are relative to.
        table: The joined table as Parquet, with its lineage in the file's metadata.
        lineage: The sources of the table with digests, licences and time spans, as JSON.
        fingerprint: Digest of the sources' content, for caching; empty where the use case declares every digest.
    """
    from pathlib import Path

    from components.ingestion.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    table.metadata, lineage.metadata = run(case, Path(base), Path(table.path), Path(lineage.path), fingerprint)
