"""`python -m monitoring COMMAND …`: the commands of monitoring, for images without the pipelines."""

import sys
from collections.abc import Sequence

from almanac.core.errors import AlmanacError
from monitoring.commands import app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; see `almanac --help` for the codes."""
    try:
        app(arguments, prog_name="python -m monitoring")
    except AlmanacError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
