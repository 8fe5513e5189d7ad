"""The command of the monthly retrain: train by the split that moves with the data, and ask for an approval."""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import GateError
from almanac.usecase import load
from almanac.usecase.override import load_with, override, parse, to_overrides
from orchestration import submission
from orchestration.cluster import Cluster
from orchestration.commands.handed import build
from orchestration.commands.options import Out, RegistryAddress, Set, UseCaseFile, command_app, example
from orchestration.console import Screen
from orchestration.retraining.approval_issue import publish, title
from orchestration.retraining.outcome import read_outcome
from orchestration.retraining.plan import retraining
from orchestration.retraining.preparation import prepared
from orchestration.run import Request, run_training
from orchestration.statements_check import check_governance

app = command_app()
#: A laptop's run may promote by itself; the monthly one never does.
_APPROVAL = ("governance.approval.local=required",)
#: How far the clocks of this machine and of a cluster may be apart.
_CLOCKS = timedelta(minutes=5)


@app.command(epilog=example("almanac retrain usecases/demand.yaml --registry s3://models"))
def retrain(
    context: typer.Context,
    usecase: UseCaseFile,
    settings: Set = None,
    out: Out = Path("runs"),
    registry: RegistryAddress = "registry",
    timeout: Annotated[float, typer.Option(help="Longest wait for a run on a cluster, in seconds.")] = 6 * 3600,
    interval: Annotated[float, typer.Option(help="Seconds between two requests for its state.")] = 2,
    namespace: Annotated[
        str | None, typer.Option(envvar="KFP_NAMESPACE", help="The profile's namespace in a multi-user Kubeflow.")
    ] = None,
) -> None:
    """Train on the newest data, on this machine or on the Kubeflow of KFP_HOST, and leave the version to an approval.

    Says what is missing before it trains; exit code 3 if the gate closes.
    """
    started, screen = datetime.now(UTC), Screen(sys.stdout)
    environment = dict(os.environ)
    with prepared(registry, environment):
        try:
            if host := os.environ.get("KFP_HOST"):
                sent = _submission(context, usecase, settings or [], registry)
                directory: Path | None = _on_cluster(
                    Cluster(host, "token", namespace), sent, out, (timeout, interval), screen
                )
                # The event that registered the version has the cluster's time.
                started -= _CLOCKS
            else:
                directory = _here(context, usecase, settings or [], registry, out, screen)
        except GateError:
            publish(None, registry, environment)
            raise
        if directory is None:
            publish(None, registry, environment)
            return
        outcome = read_outcome(directory, registry, started)
        publish(outcome, registry, environment)
    screen.line(title(outcome) if outcome.changed else f"{outcome.name} was registered before; nothing changed")


def _here(context: typer.Context, path: Path, settings: list[str], registry: str, out: Path, screen: Screen) -> Path:
    """Run the pipeline on this machine, and return the run directory."""
    case = load_with(path, [*settings, *_APPROVAL])
    case = retraining(case).apply(case)
    request = Request(case, path, out, registry)
    record = run_training(request, build(context, "training", case), screen)
    return request.home / str(record["run_id"])


def _submission(context: typer.Context, path: Path, settings: list[str], registry: str) -> submission.Submission:
    case, values = load(path), parse(settings)
    # Resolved against the settings, and on the cluster against the data of that day.
    changed = override(case, to_overrides(values))
    moving = {**values, "split": retraining(changed).apply(changed).split.model_dump(mode="json")}
    parameters = submission.parameters(registry, overrides=to_overrides(moving))
    check_governance(changed)
    return submission.Submission(build(context, "training", case), case.name, parameters)


def _on_cluster(
    cluster: Cluster, sent: submission.Submission, out: Path, patience: tuple[float, float], screen: Screen
) -> Path | None:
    """Run the pipeline on a cluster; return the directory of its fetched outputs, None where nothing had changed."""
    root = os.environ["KFP_PIPELINE_ROOT"]
    run_id = submission.submit(cluster, sent, root, screen)
    if not submission.wait(cluster, sent, run_id, *patience, screen):
        return None
    submission.fetch(root, sent.name, run_id, out / run_id)
    return out / run_id
