"""Help and exit codes, which the commands of all rooms share."""

import sys
from collections.abc import Callable

from almanac.core.errors import AlmanacError


def exit_code_of(run: Callable[[], object]) -> int:
    """Run a command and return its exit code; an error is one line on standard error, without a traceback."""
    try:
        run()
    except (AlmanacError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        # A full disk or a closed port is no error of Almanac's, and has no code of its own.
        return getattr(error, "exit_code", AlmanacError.exit_code)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def example(command: str) -> str:
    """Return the end of a command's help, which shows an example."""
    # The first character keeps typer from joining the lines.
    return f"\b\nExample:\n  {command}"
