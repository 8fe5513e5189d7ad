"""The documents of a compiled package."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.workflow_size import WorkflowSize, workflow_size


def documents(package: bytes) -> list[Any]:
    """Return the documents of a package: its pipeline and its platform settings."""
    return list(yaml.load_all(package, Loader=yaml.CSafeLoader))


@cache
def spec_of(path: Path) -> Any:
    """Return the pipeline in a file, which no test may change."""
    return documents(path.read_bytes())[0]


@cache
def size_of(path: Path) -> WorkflowSize:
    """Return the size of the Workflow of the pipeline in a file."""
    return workflow_size(path.read_bytes())
