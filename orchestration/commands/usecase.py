"""Commands on a use case file."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import AlmanacError, UseCaseError
from almanac.core.files import pretty_json
from almanac.usecase import UseCase, digest
from almanac.usecase import schema as json_schema
from almanac.usecase.override import load_with
from orchestration.commands.options import AsJson, Set, UseCaseFile, command_app, example
from orchestration.retraining.plan import Retrain
from orchestration.statements_check import check_governance

app = command_app()


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


@app.command(epilog=example("almanac new sales.csv --target amount --out usecases/sales.yaml"))
def new(
    table: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON lines, one row a time step and entity.")],
    out: Annotated[Path, typer.Option(help="The use case file to write.")],
    target: Annotated[str | None, typer.Option(help="Column to forecast; needed where several hold numbers.")] = None,
    time: Annotated[str | None, typer.Option(help="Time column; by default the first one of ISO 8601 times.")] = None,
    entity: Annotated[str | None, typer.Option(help="Column that tells series apart.")] = None,
    horizon: Annotated[str | None, typer.Option(help="How far ahead, such as 6h.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Propose a use case file for a table."""
    from almanac.data.propose import Wishes, propose

    assumed = propose(table, out, Wishes(target, time, entity, horizon), force)
    for topic, text in assumed.items():
        typer.echo(f"  {topic:<10} {text}")
    typer.echo(f"\n  {out} is a proposal: look at each line, then run: almanac check {out}")


@app.command(epilog=example("almanac schema > usecase.schema.json"))
def schema() -> None:
    """Print the JSON schema of a use case file."""
    typer.echo(pretty_json(json_schema()), nl=False)


def _faults(case: UseCase) -> list[str]:
    # Found here rather than at the first breach.
    retrain = Retrain(test_from=date.today(), train_window=case.drift.policy.retrain_window or case.split.train_window)
    faults = []
    for rule in (check_governance, retrain.check_folds):
        try:
            rule(case)
        except AlmanacError as error:
            faults.append(str(error))
    return faults
