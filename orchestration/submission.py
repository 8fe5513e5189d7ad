"""What `submit` and `schedule` do with a use case's pipeline on a cluster."""

import posixpath
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from almanac.core.errors import PipelineError
from almanac.core.files import whole_directory
from almanac.core.image import VERSION
from almanac.core.revision import git_revision
from orchestration import compiled
from orchestration.cluster import Cluster, Version
from orchestration.console import Screen
from orchestration.rundir import LAYOUT


@dataclass(frozen=True)
class Submission:
    """What is sent to a cluster.

    Attributes:
        pipeline: The pipeline, as dsl.pipeline returns it.
        experiment: Group of runs that it belongs to.
        parameters: Values of its parameters; those not named have the defaults of the compiled file.
    """

    pipeline: Any
    experiment: str
    parameters: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return str(self.pipeline.pipeline_spec.pipeline_info.name)


def parameters(registry: str, **given: str) -> dict[str, Any]:
    """Return the parameters of a submission; empty ones are left to the compiled file's defaults, and not named."""
    return {"registry": registry, **{name: value for name, value in given.items() if value}}


def version_name() -> str:
    """Return the name of a pipeline version: the release, and the revision of the code."""
    revision, dirty, _ = git_revision().partition("-dirty")
    return f"{VERSION}-{revision[:12]}{dirty}"


def upload(cluster: Cluster, submission: Submission, screen: Screen) -> Version:
    """Upload the pipeline under the version name of this checkout, unless it is there."""
    name = version_name()
    with tempfile.TemporaryDirectory() as directory:
        package = Path(directory) / f"{submission.name}.yaml"
        package.write_bytes(compiled.package(submission.pipeline))
        version = cluster.upload(package, name, submission.pipeline.description or "")
    screen.line(f"{submission.name} {name}: {'uploaded' if version.created else 'already there'}")
    return version


def submit(cluster: Cluster, submission: Submission, root: str | None, screen: Screen) -> str:
    """Upload the pipeline, start a run of it and return the run's id."""
    version = upload(cluster, submission, screen)
    run_name = f"{submission.name} {version_name()}"
    run_id = cluster.run(version, run_name, submission.parameters, submission.experiment, root)
    screen.line(f"run {run_id} started")
    return run_id


def wait(cluster: Cluster, run_id: str, timeout: float, interval: float, screen: Screen) -> None:
    """Wait for a run to end, and show each task's states.

    Raises:
        RunError: it failed, was cancelled or did not end in time.
    """
    cluster.wait(run_id, lambda task, state: screen.line(f"  {task:<20}{state.lower()}"), timeout, interval)
    screen.line(f"run {run_id} succeeded")


def schedule(cluster: Cluster, submission: Submission, cron: str, screen: Screen) -> str:
    """Make the pipeline's one recurring run follow `cron`, with this checkout's version; return its id."""
    version = upload(cluster, submission, screen)
    made = cluster.schedule(version, submission.name, cron, submission.parameters, submission.experiment)
    screen.line(f"{submission.name}: scheduled at {cron!r} (UTC, seconds first) as {made}")
    return made


def fetch(root: str, pipeline: str, run_id: str, directory: Path) -> list[str]:
    """Copy a run's outputs from the pipeline root to `directory`, named as a local run names them.

    Kubeflow keeps an output at <root>/<pipeline>/<run>/<task>/[<execution>/]<output>.

    Returns:
        The names of the files, sorted.

    Raises:
        PipelineError: the root cannot be read, or holds nothing of that run.
    """
    address = posixpath.join(root.replace("minio://", "s3://", 1), pipeline, run_id)
    try:
        filesystem, base = fsspec.core.url_to_fs(address)
        found = {path: _place(posixpath.relpath(path, base)) for path in filesystem.find(base)}
        names = {path: name for path, name in found.items() if name is not None}
        if not names:
            raise PipelineError(f"{address}: no outputs of run {run_id}; is --pipeline-root that of the cluster?")
        with whole_directory(directory) as aside:
            for path, name in names.items():
                (aside / name).parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(path, str(aside / name))
    except (OSError, ImportError, ValueError) as error:
        raise PipelineError(f"{address}: the outputs cannot be read: {error}") from error
    return sorted(names.values())


def _place(path: str) -> str | None:
    """Return the name in a run directory of <task>/[<execution>/]<output>[/...], or None for what is no output."""
    task, *rest = path.split("/")
    for depth in (0, 1):
        if len(rest) > depth and (name := LAYOUT.get((task, rest[depth]))):
            return "/".join([name, *rest[depth + 1 :]])
    return None
