"""What `compile` writes: every use case's pipelines, and each component by itself."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp import compiler

from components.common.errors import PipelineError
from components.common.files import write_bytes


@dataclass(frozen=True)
class Difference:
    """A compiled file that is not what the code would write."""

    path: Path
    state: str


def compile_all(pipelines: Mapping[str, Callable[..., Any]], components: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the compiled files by name, the same bytes on every run.

    Args:
        pipelines: Pipelines by file stem.
        components: Components by name; they go to components/<name>.yaml.
    """
    with tempfile.TemporaryDirectory() as directory:
        files = {f"{stem}.yaml": _compile(pipeline, Path(directory)) for stem, pipeline in pipelines.items()}
        return files | {f"components/{name}.yaml": _compile(one, Path(directory)) for name, one in components.items()}


def differences(files: Mapping[str, bytes], directory: Path) -> list[Difference]:
    """Return how `directory` differs from the files that it should hold."""
    present = {str(path.relative_to(directory)) for path in directory.rglob("*.yaml")}
    found = [Difference(directory / name, "is missing") for name in sorted(files.keys() - present)]
    found += [Difference(directory / name, "is of no pipeline") for name in sorted(present - files.keys())]
    same = sorted(files.keys() & present)
    return found + [Difference(directory / n, "is stale") for n in same if (directory / n).read_bytes() != files[n]]


def write(files: Mapping[str, bytes], directory: Path) -> list[Difference]:
    """Make `directory` hold exactly `files`; return what was changed."""
    changed = differences(files, directory)
    for difference in changed:
        name = str(difference.path.relative_to(directory))
        if name in files:
            write_bytes(difference.path, files[name])
        else:
            difference.path.unlink()
    return changed


def check(files: Mapping[str, bytes], directory: Path) -> None:
    """Raise if `directory` differs from `files`.

    Raises:
        PipelineError: naming every file that is missing, stale or of no pipeline.
    """
    if found := differences(files, directory):
        lines = [f"  {difference.path} {difference.state}" for difference in found]
        raise PipelineError("\n".join(["the compiled files are not those of the code; run `make compile`:", *lines]))


def _compile(pipeline: Callable[..., Any], directory: Path) -> bytes:
    path = directory / "compiled.yaml"
    compiler.Compiler().compile(pipeline, package_path=str(path))
    return path.read_bytes()
