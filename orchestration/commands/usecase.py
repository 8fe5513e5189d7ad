"""Commands on a use case file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from almanac.core.errors import UseCaseError
from almanac.core.files import pretty_json, write_text
from almanac.usecase import UseCase, digest
from almanac.usecase import schema as json_schema
from almanac.usecase.explanation import defaults_of, explained
from almanac.usecase.override import load_with
from orchestration.commands.options import AsJson, Set, UseCaseFile, command_app, example
from orchestration.review import Review, review, review_table

if TYPE_CHECKING:
    from almanac.data.propose import Proposal

app = command_app()


@app.command(epilog=example("almanac new demand.csv --out usecases/demand.yaml --target load"))
def new(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="Table file, a directory of them, or the address of a database: sqlite:///plant.db, or env:NAME for "
            "the environment variable that holds one with a password.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Use case file to write.", show_default=False)],
    target: Annotated[str | None, typer.Option(help="Column to forecast; the only one of numbers if absent.")] = None,
    time: Annotated[str | None, typer.Option(help="Time column; inferred if absent.")] = None,
    time_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Form of the times, such as %d.%m.%y or epoch_s; inferred if absent."),
    ] = None,
    entity: Annotated[str | None, typer.Option(help="Column that identifies the series; inferred if absent.")] = None,
    horizon: Annotated[str | None, typer.Option(help="How far ahead, such as 6h; one step if absent.")] = None,
    zone: Annotated[str | None, typer.Option(help="IANA zone of the times; inferred if absent.")] = None,
    decimal: Annotated[
        Literal[".", ","] | None, typer.Option(help="Decimal mark of numbers in texts; inferred if absent.")
    ] = None,
    known_ahead: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Column known before its time, such as a price plan; may be repeated."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--table", metavar="NAME", help="Table of a database; the only one if absent.")
    ] = None,
    query: Annotated[str | None, typer.Option(metavar="SQL", help="Query to a database, in place of a table.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.")] = False,
) -> None:
    """Propose a use case file for a table."""
    # Reads tables, which no other command of this module does.
    from almanac.data.propose import Choices, propose

    if out.exists() and not force:
        raise UseCaseError(f"{out}: exists already; write to another file, or replace it by --force")
    ahead = tuple(known_ahead or ())
    proposal = propose(
        table, out, Choices(target, time, entity, horizon, zone, ahead, name, query, time_format, decimal)
    )
    write_text(out, proposal.text)
    _show_proposal(proposal, table, out)


def _show_proposal(proposal: "Proposal", table: str, out: Path) -> None:
    """Print a proposal's assumptions, its doubts, and the commands that follow."""
    typer.echo(f"{out}: proposed for {table}; it assumes")
    for title, text in proposal.assumptions:
        typer.echo(f"  {title:<12}{text}")
    if proposal.unsure:
        typer.echo("it is unsure of")
        for text in proposal.unsure:
            typer.echo(f"  {text}")
    typer.echo(f"""next
  edit the lines of {out} that say "look", if any of them is wrong
  almanac check {out} --data
  almanac run {out}   # a draft, until `almanac statements {out}` has asked for what documents need
  almanac predict {out}   # {proposal.next_forecast}
  almanac serve {out}""")


@app.command(epilog=example("almanac check usecases/demand.yaml --data"))
def check(
    usecase: UseCaseFile,
    settings: Set = None,
    data: Annotated[bool, typer.Option("--data", help="Read the table too.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Print what the file leaves to its defaults.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a use case file: fields, features, folds and statements; with --data its table, split and cost too."""
    case = load_with(usecase, settings or [])
    found = review(case)
    if data:
        cache = Path(os.environ.get("ALMANAC_CACHE", ".cache"))
        review_table(case, usecase.absolute().parent, cache, found)
    defaults = defaults_of(usecase, case) if explain else {}
    if as_json:
        typer.echo(pretty_json(_summary(case, found) | ({"defaults": defaults} if explain else {})), nl=False)
    else:
        for line in (*explained(defaults), *_lines(usecase, case, found)):
            typer.echo(line)
    if found.errors:
        raise UseCaseError("\n".join(f"{usecase}: {error}" for error in found.errors))


@app.command(epilog=example("almanac schema > usecase.schema.json"))
def schema() -> None:
    """Print the JSON schema of a use case file."""
    typer.echo(pretty_json(json_schema()), nl=False)


def _summary(case: UseCase, found: Review) -> dict[str, Any]:
    return {
        "use_case": case.name,
        "digest": digest(case),
        "targets": [target.name for target in case.targets],
        "candidates": [candidate.name for candidate in case.training.candidates],
        "errors": found.errors,
        "warnings": found.warnings,
        "facts": found.facts,
    }


def _lines(path: Path, case: UseCase, found: Review) -> Iterator[str]:
    facts = found.facts
    yield f"{path}: {', '.join(target.name for target in case.targets)} by {len(case.training.candidates)} candidates"
    if "features" in facts:
        reach = f", which look back {facts['look_back']}" if "look_back" in facts else ""
        yield f"  features    {facts['features']}{reach}"
    if "rows" in facts:
        yield f"  table       {facts['rows']:,} rows from {facts['from']} to {facts['to']}"
    if "rows_test" in facts:
        yield f"  split       {facts['rows_train']:,} rows to learn from, {facts['rows_test']:,} to test on"
    if "fits" in facts:
        cost = f"about {facts['seconds_estimated']:,.0f} s on one core and {facts['bytes_estimated'] / 1e9:.1f} GB"
        yield f"  cost        {facts['fits']} fits, {cost} (an estimate)"
    yield from (f"  look        {warning}" for warning in found.warnings)
    if not found.errors:
        yield "  no faults"
