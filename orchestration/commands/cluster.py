"""Commands that send a pipeline to a cluster."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from almanac.core.errors import PipelineError
from almanac.usecase import load
from almanac.usecase.override import override, parse, to_overrides
from orchestration import submission
from orchestration.cluster import Cluster
from orchestration.commands.handed import build
from orchestration.commands.options import Log, Push, RegistryAddress, Set, UseCaseFile, command_app, example
from orchestration.connection import Auth
from orchestration.console import Screen
from orchestration.retraining.plan import retraining
from orchestration.statements_check import check_governance

app = command_app()

_Host = Annotated[
    str | None, typer.Option(envvar="KFP_HOST", help="Address of the API, such as https://example.com/pipeline.")
]
_Auth = Annotated[Auth, typer.Option(help="token: $KFP_TOKEN; service-account: the mounted token; in-cluster; none.")]
_Namespace = Annotated[str | None, typer.Option(help="The profile's namespace in a multi-user Kubeflow.")]
_Root = Annotated[
    str | None,
    typer.Option("--pipeline-root", envvar="KFP_PIPELINE_ROOT", help="Where outputs go, such as s3://bucket/runs."),
]


@app.command(epilog=example("almanac submit usecases/demand.yaml --host URL --fetch runs"))
def submit(
    context: typer.Context,
    usecase: UseCaseFile,
    settings: Set = None,
    host: _Host = None,
    auth: _Auth = "token",
    namespace: _Namespace = None,
    registry: RegistryAddress = "registry",
    push: Push = "",
    root: _Root = None,
    wait: Annotated[bool, typer.Option(help="Wait for the run to end.")] = True,
    timeout: Annotated[float, typer.Option(help="Longest wait in seconds.")] = 6 * 3600,
    interval: Annotated[float, typer.Option(help="Seconds between two requests for the run's state.")] = 2,
    fetch: Annotated[Path | None, typer.Option(help="Directory that the run's outputs are copied to.")] = None,
) -> None:
    """Upload the training pipeline to a cluster, run it, and fetch its outputs."""
    if fetch and not (wait and root):
        raise PipelineError("--fetch needs --wait, and --pipeline-root, where the outputs are")
    case, screen = load(usecase), Screen()
    # A parameter of the run, so that the uploaded version is that of the file whatever is set.
    overrides = to_overrides(parse(settings or []))
    # The cluster would find out after the training.
    check_governance(override(case, overrides))
    if fetch and root:
        submission.check_readable(root)
    pipeline = build(context, "training", case)
    parameters = submission.parameters(registry, push=push, overrides=overrides)
    sent = submission.Submission(pipeline, case.name, parameters)
    cluster = Cluster(host, auth, namespace)
    submission.publish(case, registry)
    run_id = submission.submit(cluster, sent, root, screen)
    changed = not wait or submission.wait(cluster, sent, run_id, timeout, interval, screen)
    if fetch and root and changed:
        files = submission.fetch(root, sent.name, run_id, fetch / run_id)
        screen.line(f"{len(files)} files in {fetch / run_id}")


@app.command(epilog=example("almanac schedule usecases/demand.yaml --pipeline monitoring"))
def schedule(
    context: typer.Context,
    usecase: UseCaseFile,
    kind: Annotated[
        Literal["training", "monitoring"], typer.Option("--pipeline", help="Pipeline to schedule.")
    ] = "training",
    host: _Host = None,
    auth: _Auth = "token",
    namespace: _Namespace = None,
    registry: RegistryAddress = "registry",
    push: Push = "",
    log: Log = "",
) -> None:
    """Run a pipeline on a cluster by the schedule of its use case, in place of its earlier schedule."""
    if log and kind != "monitoring":
        raise PipelineError("--log is an option of the monitoring pipeline; give --pipeline monitoring with it")
    case = load(usecase)
    cron = {"training": case.schedule.retrain, "monitoring": case.schedule.monitor}[kind]
    # The compiled file's own split is that of a first training.
    moving = {"split": retraining(case).apply(case).split.model_dump(mode="json")} if kind == "training" else {}
    parameters = submission.parameters(registry, push=push, log=log, overrides=to_overrides(moving))
    sent = submission.Submission(build(context, kind, case), case.name, parameters)
    cluster = Cluster(host, auth, namespace)
    submission.publish(case, registry)
    submission.schedule(cluster, sent, cron, Screen())


@app.command(epilog=example("almanac publish usecases/demand.yaml --registry s3://models"))
def publish(usecase: UseCaseFile, registry: RegistryAddress = "registry") -> None:
    """Put a use case that is too large to travel in its pipelines where they find it: in the registry.

    `submit` and `schedule` do so by themselves; a package that is uploaded by hand needs it once.
    """
    key = submission.publish(load(usecase), registry)
    Screen().line("its pipelines carry it; nothing to do" if key is None else f"{registry}/{key}")
