"""Options that the room's commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import ConsoleError

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
