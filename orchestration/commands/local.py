"""Commands that run a pipeline on this machine."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from almanac.core.files import pretty_json
from almanac.usecase.override import load_with
from orchestration import recurring
from orchestration.commands.handed import build
from orchestration.commands.options import (
    AsJson,
    Log,
    Out,
    Push,
    RegistryAddress,
    Set,
    UseCaseFile,
    command_app,
    example,
)
from orchestration.console import Screen
from orchestration.local_run import Runner
from orchestration.parameters import PARAMETERS
from orchestration.run import Request, run_training, show

app = command_app()


@app.command(epilog=example("almanac run usecases/demand.yaml --set training.budget.trials=2"))
def run(
    context: typer.Context,
    usecase: UseCaseFile,
    settings: Set = None,
    runner: Annotated[Runner, typer.Option(help="Subprocesses of this Python, or containers.")] = "subprocess",
    out: Out = Path("runs"),
    registry: RegistryAddress = "registry",
    push: Push = "",
    as_json: AsJson = False,
) -> None:
    """Run the training pipeline on this machine; exit code 3 if the gate closes."""
    case = load_with(usecase, settings or [])
    screen = Screen(sys.stderr if as_json else sys.stdout)
    request = Request(case, usecase, out, registry, runner, push)
    record = run_training(request, build(context, "training", case), screen)
    if as_json:
        typer.echo(pretty_json(record), nl=False)
    else:
        show(request, record, screen)


@app.command(epilog=example("almanac predict usecases/demand.yaml --start 2026-11-01"))
def predict(
    context: typer.Context,
    usecase: UseCaseFile,
    settings: Set = None,
    start: Annotated[str, typer.Option(help=PARAMETERS["start"])] = "",
    stop: Annotated[str, typer.Option(help=PARAMETERS["stop"])] = "",
    log: Log = "",
    out: Out = Path("runs"),
    registry: RegistryAddress = "registry",
) -> None:
    """Predict a span of the newest data on this machine by the model in production."""
    # Imported here: the help of every command would otherwise load polars.
    from orchestration.preview import preview

    case, screen = load_with(usecase, settings or []), Screen()
    span = {"start": start, "stop": stop, "log": log}
    request, pipeline = Request(case, usecase, out, registry), build(context, "batch", case)
    directory = recurring.predict(request, pipeline, span, screen)
    for line in preview(directory / "predictions.parquet", case):
        screen.line(line)
    recurring.show(directory, screen)


@app.command(epilog=example("almanac monitor usecases/demand.yaml --log .almanac/predictions"))
def monitor(
    context: typer.Context,
    usecase: UseCaseFile,
    settings: Set = None,
    log: Log = "",
    as_of: Annotated[str, typer.Option(help=PARAMETERS["as_of"])] = "",
    out: Out = Path("runs"),
    registry: RegistryAddress = "registry",
    push: Push = "",
) -> None:
    """Evaluate the last windows on this machine, and act on a breach; exit code 3 if there is one."""
    case, screen = load_with(usecase, settings or []), Screen()
    request, pipeline = Request(case, usecase, out, registry, push=push), build(context, "monitoring", case)
    directory = recurring.monitor(request, pipeline, {"log": log, "as_of": as_of}, screen)
    recurring.show(directory, screen)
    if recurring.breached(directory):
        raise typer.Exit(3)
