"""Compiled files: every use case's pipelines, and each component by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format  # type: ignore[import-untyped]
from kfp.compiler.pipeline_spec_builder import extract_comments_from_pipeline_spec

from almanac.core.errors import PipelineError
from almanac.core.files import write_bytes
from almanac.core.image import VERSION
from almanac.usecase import UseCase, load
from orchestration.code_digest import ROOT

_API = "pipelines.kubeflow.org/v2beta1"


@dataclass(frozen=True)
class Difference:
    """A compiled file that differs from the code."""

    path: Path
    state: str


def build_all(builders: Mapping[str, Callable[[UseCase], Any]], usecases: Path = ROOT / "usecases") -> dict[str, Any]:
    """Return every pipeline of every use case file in a directory, by the stem of its compiled file.

    Raises:
        PipelineError: the directory holds no use case files.
    """
    cases = [load(path) for path in sorted(usecases.glob("*.yaml"))]
    if not cases:
        raise PipelineError(f"{usecases}: holds no use case files; run in the directory above them, or give --usecases")
    return {f"{case.name}_{kind}": build(case) for case in cases for kind, build in builders.items()}


def compile_all(
    pipelines: Mapping[str, Any], components: Mapping[str, Any], kubernetes: bool = False
) -> dict[str, bytes]:
    """Return the compiled files by name, the same bytes on every run.

    Args:
        pipelines: Pipelines by file stem; they are written to <stem>.yaml.
        components: Components by name; they are written to components/<name>.yaml.
        kubernetes: Whether the pipelines are also written as objects for kubectl, to kubernetes/<stem>.yaml.
    """
    specs = {stem: _specs(pipeline) for stem, pipeline in pipelines.items()}
    files = {f"{stem}.yaml": _package(pipelines[stem], documents) for stem, documents in specs.items()}
    if kubernetes:
        files |= {f"kubernetes/{stem}.yaml": _objects(pipelines[stem], documents) for stem, documents in specs.items()}
    return files | {f"components/{name}.yaml": _package(one, _specs(one)) for name, one in components.items()}


def package(pipeline: Any) -> bytes:
    """Return the compiled file of one pipeline."""
    return _package(pipeline, _specs(pipeline))


def differences(files: Mapping[str, bytes], directory: Path) -> list[Difference]:
    """Return the differences between a directory and the files that it should hold."""
    present = {str(path.relative_to(directory)) for path in directory.rglob("*.yaml")}
    missing = [Difference(directory / name, "is missing") for name in sorted(files.keys() - present)]
    extra = [Difference(directory / name, "is of no pipeline") for name in sorted(present - files.keys())]
    same = sorted(files.keys() & present)
    return (
        missing
        + extra
        + [Difference(directory / n, "is stale") for n in same if (directory / n).read_bytes() != files[n]]
    )


def write(files: Mapping[str, bytes], directory: Path) -> list[Difference]:
    """Make `directory` hold exactly `files`; return the differences that there were."""
    changed = differences(files, directory)
    for difference in changed:
        name = str(difference.path.relative_to(directory))
        if name in files:
            write_bytes(difference.path, files[name])
        else:
            difference.path.unlink()
    return changed


def check(files: Mapping[str, bytes], directory: Path) -> None:
    """Refuse a directory that differs from `files`.

    Raises:
        PipelineError: names every file that is missing, stale or of no pipeline.
    """
    if stale := differences(files, directory):
        lines = [f"  {difference.path} {difference.state}" for difference in stale]
        raise PipelineError("\n".join(["the compiled files are not those of the code; run `make compile`:", *lines]))


def _specs(pipeline: Any) -> list[dict[str, Any]]:
    """Return the pipeline's specification, followed by that of its platform settings where it has any."""
    specs = [json_format.MessageToDict(pipeline.pipeline_spec)]
    return specs + ([json_format.MessageToDict(pipeline.platform_spec)] if pipeline.platform_spec.platforms else [])


def _package(pipeline: Any, specs: Sequence[dict[str, Any]]) -> bytes:
    """Return the bytes of kfp's own compiler, by libyaml's emitter, which takes a tenth of the time."""
    comments: str = extract_comments_from_pipeline_spec(specs[0], pipeline.description)
    return comments.encode() + _yaml(specs)


def _objects(pipeline: Any, specs: Sequence[dict[str, Any]]) -> bytes:
    """Return a pipeline and its version as objects for kubectl; a release's version is never changed in place."""
    name = specs[0]["pipelineInfo"]["name"]
    about = {"description": pipeline.description} if pipeline.description else {}
    platform = {"platformSpec": specs[1]} if len(specs) > 1 else {}
    # Named by the release, because a PipelineVersion cannot be changed.
    version = {"displayName": f"{name} {VERSION}", "pipelineName": name, "pipelineSpec": specs[0], **platform, **about}
    return _yaml(
        [
            _object("Pipeline", name, {"displayName": name, **about}),
            _object("PipelineVersion", f"{name}-{VERSION}", version),
        ]
    )


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": _API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _yaml(documents: Sequence[dict[str, Any]]) -> bytes:
    # Sorted, so that the same pipeline gives the same bytes.
    text: str = yaml.dump_all(documents, Dumper=yaml.CDumper, sort_keys=True)
    return text.encode()
