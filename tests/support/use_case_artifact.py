"""The artifact that the configuration task writes, for tests that call a component's function."""

from pathlib import Path

from kfp import dsl

from almanac.core.files import write_text
from almanac.usecase import UseCase, dump


def use_case_artifact(case: UseCase, folder: Path) -> dsl.Artifact:
    """Write a use case below `folder` and return its artifact."""
    path = folder / "usecase.json"
    write_text(path, dump(case))
    return dsl.Artifact(uri=str(path))
