"""Commands on plans of retrainings: list, approve, reject, execute, stop, release, verify."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import RemediationError
from almanac.core.files import pretty_json
from almanac.usecase.override import load_with
from governance.registration import actor
from orchestration.commands.handed import build
from orchestration.commands.options import AsJson, Set, command_app, example
from orchestration.parameters import PARAMETERS
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog
from orchestration.retraining.plan import observe

app = command_app(
    help="Approve, reject and execute plans of retrainings; each step is an entry of their audit log.",
    epilog=example("almanac plans list demand"),
)

_UseCaseName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the use case.", show_default=False)]
_Digest = Annotated[str, typer.Argument(metavar="PLAN", help="Whole digest of the plan.", show_default=False)]
_Address = Annotated[str, typer.Option("--registry", help="Address of the model registry.")]
_Why = Annotated[str, typer.Option("--why", help="Reason, kept in the log.", show_default=False)]


@app.command("list", epilog=example("almanac plans list demand --json"))
def _list(use_case: _UseCaseName, registry: _Address = "registry", as_json: AsJson = False) -> None:
    """List the open plans with the changes that they would make."""
    log = AuditLog(registry, use_case)
    plans = policy.open_plans(log.entries(), log.clock())
    if as_json:
        typer.echo(pretty_json([{"digest": plan.digest, **plan.model_dump(mode="json")} for plan in plans]), nl=False)
        return
    if not plans:
        typer.echo(f"no open plans for {use_case} in the registry {registry}")
    for plan in plans:
        typer.echo(f"{plan.digest}  by {plan.proposer}, until {plan.expires.isoformat(timespec='minutes')}")
        for line in [*plan.difference, *plan.reasons]:
            typer.echo(f"  {line}")


@app.command(epilog=example('almanac plans approve demand PLAN --why "errors doubled since Monday"'))
def approve(use_case: _UseCaseName, plan: _Digest, why: _Why, registry: _Address = "registry") -> None:
    """Approve a plan that somebody else proposed."""
    entry = policy.approve(AuditLog(registry, use_case), plan, who=actor(), why=why)
    typer.echo(f"approved in entry {entry.number}; execute it by `almanac plans execute`")


@app.command(epilog=example('almanac plans reject demand PLAN --why "a holiday"'))
def reject(use_case: _UseCaseName, plan: _Digest, why: _Why, registry: _Address = "registry") -> None:
    """Reject a plan for good."""
    policy.reject(AuditLog(registry, use_case), plan, who=actor(), why=why)
    typer.echo("rejected")


@app.command(epilog=example("almanac plans execute usecases/demand.yaml PLAN --registry s3://models"))
def execute(
    context: typer.Context,
    usecase: Annotated[
        Path,
        typer.Argument(metavar="USECASE", help="Use case file, unchanged since the plan was made.", show_default=False),
    ],
    plan: _Digest,
    settings: Set = None,
    base: Annotated[str, typer.Option(help="Directory of file sources; that of the use case file when empty.")] = "",
    registry: _Address = "registry",
    environment: Annotated[str, typer.Option(help="local or cluster.")] = "local",
    runs: Annotated[str, typer.Option(help=PARAMETERS["runs"])] = "runs",
    host: Annotated[str, typer.Option(help=PARAMETERS["host"])] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted execution.")] = False,
) -> None:
    """Execute an approved plan once, and print its outcome as JSON."""
    # Imports the runners and the cluster's client, which the other commands do not need.
    from orchestration.retraining import start

    case = load_with(usecase, settings or [])
    builder = partial(build, context, "training")
    folder = base or str(usecase.absolute().parent)
    if environment == "cluster":
        begin = partial(start.on_cluster, builder, host=host, registry=registry, base=base)
    else:
        begin = partial(start.local, builder, base=folder, registry=registry, runs=runs)
    log, state = AuditLog(registry, case.name), partial(observe, case, registry)
    outcome = policy.execute(log, plan, case, who=actor(), observe=state, start=begin, resume=resume)
    # One line, which the remediation component reads.
    typer.echo(json.dumps(outcome))


@app.command(epilog=example('almanac plans stop demand --why "an incident"'))
def stop(use_case: _UseCaseName, why: _Why, registry: _Address = "registry") -> None:
    """Stop all retrainings of a use case."""
    policy.switch(AuditLog(registry, use_case), stop=True, who=actor(), why=why)


@app.command(epilog=example('almanac plans release demand --why "the incident is over"'))
def release(use_case: _UseCaseName, why: _Why, registry: _Address = "registry") -> None:
    """Allow retrainings again."""
    policy.switch(AuditLog(registry, use_case), stop=False, who=actor(), why=why)


@app.command(epilog=example("almanac plans verify demand"))
def verify(use_case: _UseCaseName, registry: _Address = "registry") -> None:
    """Read the whole log again and check its chain and its plans."""
    entries = AuditLog(registry, use_case).entries()
    # A mistyped name or address has an empty log, which says nothing about any plan.
    if not entries:
        raise RemediationError(f"registry {registry}: there is no plan of {use_case!r}, so there is nothing to verify")
    for entry in entries:
        if entry.kind == "proposed":
            policy.find(entries, entry.plan)
    typer.echo(f"{len(entries)} entries, unbroken")
