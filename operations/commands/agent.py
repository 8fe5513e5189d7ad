"""The command `agent`."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import AgentError
from almanac.core.files import pretty_json
from operations.commands.options import Registry, Runs, room_libraries
from orchestration.commands.handed import build
from orchestration.commands.options import AsJson, example

app = typer.Typer(
    help="Run the remediation agent: it takes alarms, names causes with evidence, and acts by a policy.",
    epilog=example("almanac agent --policy agent-policy.yaml --act"),
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_UseCaseName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the use case.", show_default=False)]
_Digest = Annotated[str, typer.Argument(metavar="ACTION", help="Whole digest of the action.", show_default=False)]
_Why = Annotated[str, typer.Option("--why", help="Reason, kept in the journal.", show_default=False)]


@app.callback()
def agent(
    context: typer.Context,
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="Policy: causes, actions, limits.")
    ] = None,
    act: Annotated[bool, typer.Option("--act/--dry-run", help="Execute actions, or only name them.")] = False,
    registry: Registry = "",
    runs: Runs = Path("runs"),
    host: Annotated[str, typer.Option(help="Address to listen on for Alertmanager's webhook.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8091,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="Key that senders of alarms have to give.")
    ] = None,
    state: Annotated[Path, typer.Option(help="Directory with the lock that keeps a second agent away.")] = Path(
        ".almanac/agent"
    ),
    once: Annotated[bool, typer.Option("--once", help="Look once at everything, and end.")] = False,
) -> None:
    """Run the agent until a signal ends it."""
    if context.invoked_subcommand:
        return
    if policy is None:
        raise AgentError("--policy is missing: a file that says which actions follow which causes")
    # Imported here: the help would otherwise load a web server and the libraries of tables.
    with room_libraries():
        from operations.agent.agent import Agent, only_one
        from operations.agent.followed import FollowedJournal
        from operations.agent.policy import read_policy
        from operations.agent.site import Site
        from operations.agent.work import Work

    rules, address = read_policy(policy), _address(registry)
    say = partial(print, file=sys.stderr, flush=True)
    works = {}
    for name, settings in rules.use_cases.items():
        site = Site(name, rules, settings, address, runs, partial(build, context, "training"))
        # A file that cannot be read is said now rather than at the first alarm.
        site.usecase()
        works[name] = Work(site, FollowedJournal(address, name), act and not rules.stop, say)
    running = Agent(rules, works, say)
    with only_one(state):
        if not act:
            say("dry run: actions are named, and none is executed; --act executes them")
        if once:
            for name in works:
                running.ask_kubeflow(name)
                running.look(name)
            return
        from operations.agent.web import serve

        serve(running, host, port, key_file)


@app.command(epilog=example("almanac agent actions demand"))
def actions(use_case: _UseCaseName, registry: Registry = "", as_json: AsJson = False) -> None:
    """List the actions with their states."""
    from operations.agent.ledger import read_ledger
    from operations.journal import Journal

    ledger = read_ledger(use_case, Journal(_address(registry), use_case).entries())
    rows = [
        {"digest": key, "action": step.action, "state": step.state, "risk": step.risk, "why": step.proposal.why}
        for key, step in ledger.steps.items()
    ]
    if as_json:
        typer.echo(pretty_json(rows), nl=False)
        return
    if not rows:
        typer.echo(f"no actions for {use_case}")
    for row in rows:
        typer.echo(f"{row['digest']}  {row['state']}, {row['risk']}\n  {row['why']}")


@app.command(epilog=example('almanac agent approve demand ACTION --why "looked at the errors"'))
def approve(use_case: _UseCaseName, action: _Digest, why: _Why, registry: Registry = "") -> None:
    """Approve an action that the agent has proposed."""
    from governance.registration import actor
    from operations.agent import approvals
    from operations.journal import Journal

    entry = approvals.approve(Journal(_address(registry), use_case), action, who=actor(), why=why)
    typer.echo(f"approved in entry {entry.number}; the agent begins it, after quiet hours that do not allow it")


@app.command(epilog=example('almanac agent reject demand ACTION --why "a holiday"'))
def reject(use_case: _UseCaseName, action: _Digest, why: _Why, registry: Registry = "") -> None:
    """Reject an action for good."""
    from governance.registration import actor
    from operations.agent import approvals
    from operations.journal import Journal

    approvals.reject(Journal(_address(registry), use_case), action, who=actor(), why=why)
    typer.echo("rejected")


@app.command(epilog=example('almanac agent stop demand --why "an incident"'))
def stop(use_case: _UseCaseName, why: _Why, registry: Registry = "") -> None:
    """Stop all actions on a use case at once."""
    _switch(registry, use_case, why, stop=True)


@app.command(epilog=example('almanac agent release demand --why "the incident is over"'))
def release(use_case: _UseCaseName, why: _Why, registry: Registry = "") -> None:
    """Allow actions again."""
    _switch(registry, use_case, why, stop=False)


def _switch(registry: str, use_case: str, why: str, *, stop: bool) -> None:
    from governance.registration import actor
    from operations.agent import approvals
    from operations.journal import Journal

    approvals.switch(Journal(_address(registry), use_case), stop=stop, who=actor(), why=why)


def _address(registry: str) -> str:
    from governance.registry import default_url

    return registry or default_url()
