"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from almanac.core.commands import example as example
from orchestration.parameters import PARAMETERS

UseCaseFile = Annotated[Path, typer.Argument(metavar="USECASE", help="Use case file.", show_default=False)]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the use case.")]
RegistryAddress = Annotated[str, typer.Option(help="Address of the model registry: a path, s3:// or gs://.")]
Out = Annotated[Path, typer.Option(help="Directory that the run directory goes in.")]
Log = Annotated[str, typer.Option(help=PARAMETERS["log"])]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Push = Annotated[
    str, typer.Option(envvar="ALMANAC_PUSH", help="Directory of an exporter, or a Pushgateway, for Prometheus.")
]


def command_app(*, help: str | None = None, epilog: str | None = None) -> typer.Typer:
    """Return an application of one command, or with help of its own for several."""
    return typer.Typer(
        help=help,
        epilog=epilog,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
