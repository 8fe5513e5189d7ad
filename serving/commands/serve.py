"""`serve`: run the model server."""

import inspect
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, get_type_hints

import typer
import yaml

from almanac.core.errors import ServingError
from almanac.core.yaml_text import parse_yaml
from serving.runtime.redaction import has_secret
from serving.settings import Settings


def serve(**options: Any) -> None:
    """Serve a model over V1, V2 and gRPC."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # The first process of a container has no default action: without a handler a signal would be lost.
        signal.signal(number, _end)
    # A reload that is asked for too early asks for what is loaded anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if usecase := options.pop("usecase", None):
        name = _name_in(usecase)
        options["model"] = [*(options["model"] or []), f"registry:{name}/production"]
        # The table of the newest run beside it answers requests by entity at once.
        newest = Path("runs") / name / "latest" / "data.parquet"
        options["history"] = options["history"] or (str(newest) if newest.is_file() else None)
    # Not by typer, which would divide the variable at every blank.
    options["model"] = options["model"] or os.environ.get("ALMANAC_MODEL", "").splitlines()
    settings = Settings(**options)
    settings.check()
    if any(map(has_secret, sys.argv)):
        _hide(settings)
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


def _name_in(path: Path) -> str:
    """Return the name of the use case in a file.

    Raises:
        ServingError: the file cannot be read, or names no use case.
    """
    # Not validated: the file may have changed since the model was registered, and only its name counts here.
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ServingError(f"{path}: cannot be read as a use case file: {str(error).splitlines()[0]}") from None
    name = content.get("name") if isinstance(content, dict) else None
    if not isinstance(name, str):
        raise ServingError(f"{path}: has no field name; expected a use case file, or --model ADDRESS")
    return name


def _end(number: int, frame: FrameType | None) -> None:
    """End a server that still starts."""
    raise SystemExit(0)


def _hide(settings: Settings) -> None:
    """Begin again with passwords in the environment: everybody on the machine may read a command line."""
    command = [sys.executable, "-m", "serving", *settings.arguments()]
    os.execve(sys.executable, command, settings.environment())  # noqa: S606 - our own command, without a shell


# typer reads a command's options from its signature: these are the fields of Settings.
_USECASE = Annotated[
    Path | None,
    typer.Argument(
        metavar="[USECASE]", help="Use case file: its version in production, and runs/NAME/latest as history."
    ),
]
serve.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("usecase", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=_USECASE),
        *inspect.signature(Settings).parameters.values(),
    ]
)
serve.__annotations__ = {"usecase": _USECASE, **get_type_hints(Settings, include_extras=True)}
