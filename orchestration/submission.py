"""Submission of a use case's pipeline to a cluster: upload, run, schedule, fetch."""

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
from almanac.usecase import UseCase
from almanac.usecase.packed import fits, pack
from governance.registry.carried import put_use_case
from governance.registry.stores import open_store
from orchestration import compiled
from orchestration.cluster import Cluster, Version
from orchestration.console import Screen
from orchestration.rundir import LAYOUT
from orchestration.tasks import Task


@dataclass(frozen=True)
class Submission:
    """A pipeline and its parameters, to be sent to a cluster.

    Attributes:
        pipeline: The pipeline, as dsl.pipeline returns it.
        experiment: Group of its runs.
        parameters: Values of its parameters; others have the defaults of the compiled file.
    """

    pipeline: Any
    experiment: str
    parameters: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return str(self.pipeline.pipeline_spec.pipeline_info.name)

    @property
    def tasks(self) -> frozenset[str]:
        """Names of the tasks that run a component, at every depth."""
        spec = self.pipeline.pipeline_spec
        return frozenset().union(*(self._of(graph) for graph in (spec.root, *spec.components.values())))

    @property
    def first(self) -> frozenset[str]:
        """Names of the tasks outside of any condition."""
        return self._of(self.pipeline.pipeline_spec.root)

    def _of(self, graph: Any) -> frozenset[str]:
        components = self.pipeline.pipeline_spec.components
        tasks = graph.dag.tasks.items()
        return frozenset(name for name, task in tasks if components[task.component_ref.name].executor_label)


def parameters(registry: str, **optional: str) -> dict[str, Any]:
    """Return the parameters of a submission without empty ones, which have the compiled file's defaults."""
    return {"registry": registry, **{name: value for name, value in optional.items() if value}}


def version_name() -> str:
    """Return the name of a pipeline version, made of the release and the revision."""
    revision, dirty, _ = git_revision().partition("-dirty")
    return f"{VERSION}-{revision[:12]}{dirty}"


def publish(usecase: UseCase, registry: str) -> str | None:
    """Put a use case that its pipelines cannot carry into the registry; return its key, None if they carry it.

    Raises:
        PipelineError: the registry is a directory of this machine, which the cluster cannot read.
        RegistryError: it cannot be written.
    """
    if fits(pack(usecase)):
        return None
    store = open_store(registry)
    if "://" not in store.url:
        raise PipelineError(
            f"{usecase.name} is too large to travel in its pipelines, which read it from the registry; "
            f"give --registry, the address of the cluster's, such as s3://BUCKET/registry"
        )
    return put_use_case(store, usecase)


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


def wait(
    cluster: Cluster, submission: Submission, run_id: str, timeout: float, interval: float, screen: Screen
) -> bool:
    """Wait for a run to end, print each task's states and times, and return whether more than its first tasks ran.

    Raises:
        RunError: it failed, was cancelled or did not end in time.
    """
    seen = cluster.wait(run_id, submission.tasks, lambda task: screen.line(_line(task)), timeout, interval)
    # A server that reports no tasks tells nothing.
    changed = not seen or not seen <= submission.first
    unchanged = "" if changed else ": nothing has changed since the version that the registry has"
    screen.line(f"run {run_id} succeeded{unchanged}")
    return changed


def _line(task: Task) -> str:
    seconds = "" if task.seconds is None or task.state == "RUNNING" else f"{task.seconds:8.0f} s"
    return f"  {task.name:<20}{task.state.lower():<12}{seconds}".rstrip()


def check_readable(root: str) -> None:
    """Refuse a pipeline root that cannot be read from here, before a run that would end in vain.

    Raises:
        PipelineError: no credentials, no such bucket, or a library that is missing.
    """
    address = _storage(root)
    try:
        filesystem, base = fsspec.core.url_to_fs(address)
        filesystem.ls(base)
    except FileNotFoundError:
        # A root without any run yet: its bucket or its disk answered.
        return
    except Exception as error:  # Each store's library raises errors of its own.
        raise PipelineError(
            f"--pipeline-root {root}: cannot be read from here, so that --fetch would fail after the run: "
            f"{type(error).__name__}: {error}"
        ) from None


def _storage(root: str) -> str:
    # Kubeflow names its own MinIO by a scheme that fsspec does not know.
    return root.replace("minio://", "s3://", 1)


def schedule(cluster: Cluster, submission: Submission, cron: str, screen: Screen) -> str:
    """Schedule this checkout's version of the pipeline, in place of its earlier schedule; return the id."""
    version = upload(cluster, submission, screen)
    recurring = cluster.schedule(version, submission.name, cron, submission.parameters, submission.experiment)
    screen.line(f"{submission.name}: scheduled at {cron!r} (UTC, seconds first) as {recurring}")
    return recurring


def fetch(root: str, pipeline: str, run_id: str, directory: Path) -> list[str]:
    """Copy a run's outputs from the pipeline root to `directory`, named as a local run names them.

    Kubeflow keeps an output at <root>/<pipeline>/<run>/<task>/[<execution>/]<output>.

    Returns:
        The names of the files, sorted.

    Raises:
        PipelineError: the root cannot be read, or holds nothing of that run.
    """
    address = posixpath.join(_storage(root), pipeline, run_id)
    try:
        filesystem, base = fsspec.core.url_to_fs(address)
        outputs = {path: _output(posixpath.relpath(path, base)) for path in filesystem.find(base)}
        names = {path: name for path, name in outputs.items() if name is not None}
        if not names:
            raise PipelineError(f"{address}: no outputs of run {run_id}; is --pipeline-root that of the cluster?")
        with whole_directory(directory) as aside:
            for path, name in names.items():
                (aside / name).parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(path, str(aside / name))
    except PipelineError:
        raise
    except Exception as error:  # Each store's library raises errors of its own.
        raise PipelineError(f"{address}: the outputs cannot be read: {error}") from error
    return sorted(names.values())


def _output(path: str) -> str | None:
    """Return the name in a run directory of <task>/[<execution>/]<output>[/...], or None for any other file."""
    task, *rest = path.split("/")
    # The execution's id is an optional part of the address.
    for depth in (0, 1):
        if len(rest) > depth and (name := LAYOUT.get((task, rest[depth]))):
            return "/".join([name, *rest[depth + 1 :]])
    return None
