"""Options that the room's commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from almanac.core.errors import ConsoleError, HistoryError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from operations.history import Origins

History = Annotated[
    str,
    typer.Option(
        "--history",
        metavar="URL",
        help="sqlite:///FILE or postgresql://…; ALMANAC_HISTORY, or history.db.",
    ),
]
Registry = Annotated[str, typer.Option("--registry", help="A path, s3:// or gs://; ALMANAC_REGISTRY, or registry.")]
Runs = Annotated[Path, typer.Option("--runs", help="Directory of run directories.")]
Log = Annotated[
    str, typer.Option("--log", envvar="ALMANAC_PREDICTION_LOG", help="Directory or URL of the prediction log.")
]
Given = Annotated[
    str, typer.Argument(metavar="USECASE", help="Use case file, or the name of a use case.", show_default=False)
]
Kept = Annotated[
    bool, typer.Option("--no-rebuild", help="Read the history as it is, where something else keeps it up to date.")
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="Channels; ALMANAC_NOTIFICATIONS, or notifications.yaml."),
]
Again = Annotated[bool, typer.Option("--again", help="Send again what was refused or given up, or may have been lost.")]


def opened(history: str, registry: str, runs: Path, log: str, kept: bool) -> "tuple[Engine, Origins]":
    """Return the history and its origins.

    Raises:
        HistoryError: the history is to be made again, holds runs, and their directory is missing: it would lose them.
    """
    # Imported here: the help of every command would otherwise load a database's client.
    from operations import history as room

    engine = room.open_history(history or room.default_url())
    if not kept and not runs.is_dir() and (count := room.run_count(engine)):
        raise HistoryError(
            f"--runs {runs}: no such directory, though the history has {count} runs; give their directory, or "
            "--no-rebuild to read the history as it is"
        )
    return engine, origins_of(registry, runs, log)


def origins_of(registry: str, runs: Path, log: str) -> "Origins":
    """Return the origins of the history."""
    from governance.registry import default_url
    from operations.history import Origins

    return Origins(registry or default_url(), runs, log)


@contextmanager
def room_libraries() -> Iterator[None]:
    """Name a library that is missing: those of the room come with an extra of their own.

    Raises:
        ConsoleError: one is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConsoleError(
            f"{error.name} is not installed; `make .venv/.dev`, or the extra almanac[console], installs what the "
            "operations room needs"
        ) from error
