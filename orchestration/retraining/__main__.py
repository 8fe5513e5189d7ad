"""`python -m orchestration.retraining`: look at plans, approve or reject them, execute, stop, verify."""

import json
from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import AlmanacError
from almanac.usecase.override import load_with
from components.remediation.task import Settings, carry_out
from governance.registration import actor
from orchestration.retraining import policy
from orchestration.retraining.audit_log import Ledger

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
UseCaseName = Annotated[str, typer.Argument(help="Name of the use case.")]
PlanDigest = Annotated[str, typer.Argument(help="Whole digest of the plan.")]
Address = Annotated[str, typer.Option("--registry", help="Address of the model registry.")]
Why = Annotated[str, typer.Option("--why", help="Reason, kept in the log.")]


@app.command()
def plans(use_case: UseCaseName, registry: Address = "registry") -> None:
    """List the plans that are open, with what they would change."""
    ledger = Ledger(registry, use_case)
    for plan in policy.open_plans(ledger.entries(), ledger.clock()):
        typer.echo(f"{plan.digest}  by {plan.proposer}, until {plan.expires.isoformat(timespec='minutes')}")
        for line in [*plan.difference, *plan.reasons]:
            typer.echo(f"  {line}")


@app.command()
def approve(use_case: UseCaseName, plan: PlanDigest, why: Why, registry: Address = "registry") -> None:
    """Approve a plan that somebody else proposed."""
    entry = policy.approve(Ledger(registry, use_case), plan, who=actor(), why=why)
    typer.echo(f"approved in entry {entry.number}; execute it with the command execute")


@app.command()
def reject(use_case: UseCaseName, plan: PlanDigest, why: Why, registry: Address = "registry") -> None:
    """Reject a plan for good."""
    policy.reject(Ledger(registry, use_case), plan, who=actor(), why=why)
    typer.echo("rejected")


@app.command()
def execute(
    usecase: Annotated[Path, typer.Argument(help="Use case file, as it was when the plan was made.")],
    plan: PlanDigest,
    settings: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE for a field of the use case.")] = None,
    registry: Address = "registry",
    environment: Annotated[str, typer.Option(help="local or cluster.")] = "local",
    runs: Annotated[str, typer.Option(help="Directory of the run directories.")] = "runs",
    host: Annotated[str, typer.Option(help="Address of the Kubeflow Pipelines API.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an execution that was cut off.")] = False,
) -> None:
    """Execute an approved plan, once."""
    case = load_with(usecase, settings or [])
    places = Settings(str(usecase.absolute().parent), registry, environment, runs, host)
    outcome = carry_out(Ledger(registry, case.name), plan, case, places, actor(), resume)
    typer.echo(json.dumps(outcome))


@app.command()
def stop(use_case: UseCaseName, why: Why, registry: Address = "registry") -> None:
    """Stop all remediation of a use case."""
    policy.switch(Ledger(registry, use_case), stop=True, who=actor(), why=why)


@app.command()
def release(use_case: UseCaseName, why: Why, registry: Address = "registry") -> None:
    """Allow remediation again."""
    policy.switch(Ledger(registry, use_case), stop=False, who=actor(), why=why)


@app.command()
def verify(use_case: UseCaseName, registry: Address = "registry") -> None:
    """Read the whole log again and check its chain and its plans."""
    entries = Ledger(registry, use_case).entries()
    for entry in entries:
        if entry.kind == "proposed":
            policy.find(entries, entry.plan)
    typer.echo(f"{len(entries)} entries, unbroken")


def main() -> None:
    """Run the command line; an error of ours is a line on standard error."""
    try:
        app()
    except AlmanacError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
