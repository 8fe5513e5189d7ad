"""Run a pipeline on this machine by kfp's SubprocessRunner or DockerRunner, with a cache by content."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kfp import dsl, local

from almanac.core.errors import PipelineError
from governance.signing import MOUNTED_KEY, signing_key
from orchestration.cache import ContentCache, install
from orchestration.code_digest import ROOT
from orchestration.console import RunLog, Screen, Step
from orchestration.local_run import LocalRun, RunOptions
from orchestration.standby import Standby


def run_local(pipeline: Callable[..., Any], arguments: dict[str, Any], options: RunOptions, screen: Screen) -> LocalRun:
    """Run `pipeline`, a function decorated with dsl.pipeline, on this machine.

    Returns:
        Steps, outputs, and the error of a failed step, which is not raised.

    Raises:
        PipelineError: the runner cannot be started.
    """
    workspace = options.work / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    local.init(
        runner=_runner(options),
        pipeline_root=str(options.work),
        workspace_root=str(workspace),
        # An error is reported with the message of the step; kfp would raise one of its own.
        raise_on_error=False,
        enable_caching=True,
        cache_root=str(options.cache),
    )
    # After `init`, which sets a cache of its own.
    cache = install(ContentCache(options.cache, options.registry_state, options.settled))
    log = _log(options, cache, screen)
    prepared = _for_this_machine(pipeline, options.never_cached)
    tasks = len(prepared.pipeline_spec.deployment_spec["executors"])
    standby = Standby(lambda: len(log.steps) + 1 < tasks)
    with contextlib.closing(log), screen.live(), _quiet(log), _environment(), standby.installed():
        prepared(**arguments)
    error = log.error if _failed(log) else None
    # A failed run leaves the registry in a state that the next run has to look at again.
    if error is None:
        cache.settle(options.settled)
    return LocalRun(log.steps, _outputs(options.work, cache), error)


def _log(options: RunOptions, cache: ContentCache, screen: Screen) -> RunLog:
    def on_step(step: Step) -> None:
        if step.cached and (summary := cache.summaries.get(step.name)):
            step.rows, step.figure = summary.rows, summary.text
        elif not step.failed:
            cache.summarize(step.name, step.rows, step.figure)
        screen.step(step)

    log = RunLog(options.work / "log.txt", on_step, screen.progress)
    cache.on_hit = lambda name: log.finish(Step(name, cached=True))
    return log


def _for_this_machine(pipeline: Any, never_cached: frozenset[str]) -> Any:
    """Return the pipeline with caching of all but some components.

    Tasks that a cluster must not cache, because its cache identifies artifacts by address, are cached here by content.
    """
    specification = pipeline.pipeline_spec
    for graph in (specification.root, *specification.components.values()):
        for name, task in graph.dag.tasks.items():
            task.caching_options.enable_cache = name not in never_cached
    return pipeline


def _failed(log: RunLog) -> bool:
    failed = next((step for step in log.steps if step.failed), None)
    if failed is not None and log.error is None:
        log.error = f"step {failed.name} failed without a message"
    return failed is not None


def _runner(options: RunOptions) -> Any:
    if options.runner == "subprocess":
        # The libraries are those of this process, which are locked; a venv a task would install them anew.
        return local.SubprocessRunner(use_venv=False)
    try:
        from docker.types import Mount  # type: ignore[import-untyped]

        return local.DockerRunner(
            # A registry or Dask scheduler on this machine has to be reachable.
            network_mode="host",
            # Files of the run belong to the user who started it.
            user=f"{os.getuid()}:{os.getgid()}",
            environment=_forwarded(),
            mounts=[
                *(Mount(str(path), str(path), type="bind") for path in options.shared),
                # A key that a container made would end with it; containers sign with the user's, as processes do.
                Mount(str(MOUNTED_KEY), str(signing_key().absolute()), type="bind", read_only=True),
            ],
            # Tasks may write only to mounted directories, as on a cluster.
            read_only=True,
            tmpfs={"/tmp": "exec"},  # noqa: S108 - in the container
        )
    except ImportError as error:
        raise PipelineError(f"the docker runner needs the docker package: {error}") from error


def _forwarded() -> dict[str, str]:
    """Return the environment variables that containers share with this process: locations, and no secrets."""
    names = ("ALMANAC_CACHE", "ALMANAC_MIRROR", "ALMANAC_REGISTRY", "DASK_SCHEDULER_ADDRESS")
    return {name: os.environ[name] for name in names if name in os.environ} | {"HOME": "/tmp"}  # noqa: S108


@contextlib.contextmanager
def _quiet(log: RunLog) -> Iterator[None]:
    """Send the output of kfp and the tasks to the log, without kfp's warnings of settings that have no local effect."""
    with contextlib.redirect_stdout(log), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Let tasks import the project, and leave the rest of their environment as it is."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _outputs(work: Path, cache: ContentCache) -> dict[str, dict[str, Any]]:
    """Return the outputs of every task: those that the cache holds, and those of tasks that are never cached."""
    outputs: dict[str, dict[str, Any]] = {}
    for directory in sorted(path for path in work.glob("*/*") if path.is_dir() and path.parent.name != "workspace"):
        outputs[directory.name] = {
            path.name: path for path in directory.iterdir() if path.name != "executor_output.json"
        }
    # A cached task has no directory in this run, but in the run that computed it.
    for component, values in cache.outputs.items():
        outputs[component] = {
            name: Path(value.uri) if isinstance(value, dsl.Artifact) else value for name, value in values.items()
        }
    return outputs
