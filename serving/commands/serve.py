"""`serve`: run the model server."""

import inspect
import os
from typing import Any, get_type_hints

import typer

from almanac.core.errors import ServingError
from serving.settings import Settings


def serve(**options: Any) -> None:
    """Serve a model over V1, V2 and gRPC."""
    # Not by typer, which would divide the variable at every blank.
    options["model"] = options["model"] or os.environ.get("ALMANAC_MODEL", "").splitlines()
    settings = Settings(**options)
    settings.check()
    if settings.workers > 1 and settings.listen_fd is None:
        # Imported here: a single process needs no supervisor.
        from serving.operations.workers import supervise

        raise typer.Exit(supervise(settings))
    try:
        from serving.run import run
    except ModuleNotFoundError as error:
        raise ServingError(
            f"{error.name} is not installed; `make .venv/.serving` installs what the server needs"
        ) from error
    run(settings)


# typer reads a command's options from its signature: these are the fields of Settings.
serve.__signature__ = inspect.signature(Settings)  # type: ignore[attr-defined]
serve.__annotations__ = get_type_hints(Settings, include_extras=True)
