"""Command line of tracking: `python -m almanac.training.tracking upload RUN`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import AlmanacError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def upload(run: Annotated[Path, typer.Argument(help="Run directory.")]) -> None:
    """Upload the Comet archive of a run; a failure leaves run and archive as they are."""
    from almanac.training.tracking.upload import upload as send

    typer.echo(f"uploaded {send(run).name}")


@app.command(hidden=True)
def archive(directory: Annotated[Path, typer.Argument(help="Directory with a record.json.")]) -> None:
    """Write the Comet archive of the record in a directory."""
    from almanac.training.tracking.archive import write_archive

    write_archive(directory)


def main() -> None:
    """Run the command; an expected error is one line and an exit code."""
    try:
        app()
    except AlmanacError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
