"""`python -m governance`: the commands `registry` and `verify` of `almanac`, for images and workflows."""

import typer

from almanac.core.errors import AlmanacError
from governance.commands import app


def main() -> None:
    """Run the command line; an error is one line on standard error and exit code 1."""
    try:
        app()
    except (AlmanacError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
