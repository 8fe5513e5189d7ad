from kfp import dsl

from orchestration.component import component


@component
def fingerprint(usecase: dsl.Input[dsl.Artifact], base: str) -> str:
    """Return the digest of the sources' present content, by which later tasks are cached.

    Args:
        usecase: The use case as JSON.
        base: Directory that the paths of file sources are relative to.

    Returns:
        The sha256 of the names and digests of all sources.
    """
    from pathlib import Path

    from components.fingerprint.task import run

    return run(Path(usecase.path).read_text(encoding="utf-8"), Path(base))
