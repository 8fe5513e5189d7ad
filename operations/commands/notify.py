"""The command `notify`."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import NotificationError
from operations.commands.options import (
    Again,
    History,
    Kept,
    Log,
    Registry,
    Runs,
    SettingsFile,
    opened,
    room_libraries,
)
from orchestration.commands.options import command_app, example

app = command_app()

_UseCases = Annotated[
    list[str], typer.Argument(metavar="USECASE...", help="Use case files, or names of use cases.", show_default=False)
]


@app.command(epilog=example("almanac notify demand --watch"))
def notify(
    usecases: _UseCases,
    settings: SettingsFile = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until a signal.")] = False,
    interval: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 30,
    reports: Annotated[
        bool, typer.Option("--reports", help="Send the reports on the last week and month as well.")
    ] = False,
    again: Again = False,
    history: History = "",
    registry: Registry = "",
    runs: Runs = Path("runs"),
    log: Log = "",
    kept: Kept = False,
) -> None:
    """Send the events that people wait for, each once: gates, approvals, promotions, the agent, missed schedules."""
    # Imported here: the help would otherwise load a database's client.
    with room_libraries():
        from operations.notifications import Watch, load_settings, settings_path

    path = settings_path(settings)
    # Before the history is made, which may take a minute.
    load_settings(path)
    engine, origins = opened(history, registry, runs, log, kept)
    watching = Watch(engine, origins, path, usecases, registry, keep=kept, reports=reports)
    if watch:
        watching.follow(interval, partial(print, file=sys.stderr, flush=True))
    lost = []
    for found in watching.look(again=again):
        line = f"{found.delivery.shown}: {found.delivery.message.title}: {found.told}"
        typer.echo(line)
        if found.outcome != "sent":
            lost.append(line)
    if lost:
        raise NotificationError("not all was sent\n" + "\n".join(lost))
