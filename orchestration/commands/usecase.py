"""Commands on a use case file."""

from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import AlmanacError, UseCaseError
from almanac.core.files import pretty_json, write_text
from almanac.usecase import UseCase, digest
from almanac.usecase import schema as json_schema
from almanac.usecase.override import load_with
from orchestration.commands.options import AsJson, Set, UseCaseFile, command_app, example
from orchestration.retraining.plan import retraining
from orchestration.statements_check import check_governance

app = command_app()


@app.command(epilog=example("almanac new demand.csv --out usecases/demand.yaml --target load"))
def new(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, Parquet or JSON lines.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Use case file to write.", show_default=False)],
    target: Annotated[str | None, typer.Option(help="Column to forecast; the only one of numbers if absent.")] = None,
    time: Annotated[str | None, typer.Option(help="Time column; inferred if absent.")] = None,
    entity: Annotated[str | None, typer.Option(help="Column that identifies the series; inferred if absent.")] = None,
    horizon: Annotated[str | None, typer.Option(help="How far ahead, such as 6h; one step if absent.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.")] = False,
) -> None:
    """Propose a use case file for a table."""
    # Reads tables, which no other command of this module does.
    from almanac.data.propose import Choices, propose

    if out.exists() and not force:
        raise UseCaseError(f"{out}: exists already; write to another file, or replace it by --force")
    proposal = propose(table, out, Choices(target, time, entity, horizon))
    write_text(out, proposal.text)
    typer.echo(f"{out}: proposed for {table}; it assumes")
    for title, text in proposal.assumptions:
        typer.echo(f"  {title:<12}{text}")
    typer.echo(f"""next
  edit the lines of {out} that say "look"
  almanac check {out}   # names the statements and answers on risk that are still missing
  almanac run {out}   # once they are there""")


@app.command(epilog=example("almanac check usecases/demand.yaml"))
def check(usecase: UseCaseFile, settings: Set = None, as_json: AsJson = False) -> None:
    """Check a use case file as far as that needs no data: its fields, statements, answers and retraining window."""
    case = load_with(usecase, settings or [])
    if faults := _faults(case):
        raise UseCaseError("\n".join(faults))
    summary = {
        "use_case": case.name,
        "digest": digest(case),
        "targets": [target.name for target in case.targets],
        "candidates": [candidate.name for candidate in case.training.candidates],
    }
    text = f"{usecase}: {', '.join(summary['targets'])} by {len(case.training.candidates)} candidates; no faults"
    typer.echo(pretty_json(summary) if as_json else f"{text}\n", nl=False)


@app.command(epilog=example("almanac schema > usecase.schema.json"))
def schema() -> None:
    """Print the JSON schema of a use case file."""
    typer.echo(pretty_json(json_schema()), nl=False)


def _faults(case: UseCase) -> list[str]:
    faults = []
    # A retraining is checked here rather than at the first breach.
    for rule in (check_governance, retraining(case).apply):
        try:
            rule(case)
        except AlmanacError as error:
            faults.append(str(error))
    return faults
