from kfp import dsl

from orchestration.component import component


@component
def documentation(
    usecase: dsl.Input[dsl.Artifact],
    registration: dsl.Input[dsl.Artifact],
    registry: str,
    governance: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
) -> bool:
    """Write, verify and attach the version's governance documents; promote it if no approval is needed.

    Args:
        usecase: The use case as JSON, with its statements.
        registration: Version, address, event and signature, registration.json.
        registry: Address of the model registry, which holds what the documents quote: a path, s3:// or gs://.
        governance: Directory of all documents with their references and manifest.
        page: All documents on one page, for the user interface.

    Returns:
        Whether the version is in production.
    """
    from pathlib import Path

    from components.documentation.task import run

    case = Path(usecase.path).read_text(encoding="utf-8")
    usage = registration.metadata.get("compute", {})
    return run(case, Path(registration.path), registry, Path(governance.path), Path(page.path), usage)
