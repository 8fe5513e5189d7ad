"""The command line of monitoring: `python -m monitoring COMMAND …`."""

import argparse
import sys
from collections.abc import Sequence

from almanac.core.errors import AlmanacError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code, 1 for an error that was told on standard error."""
    from monitoring import drift_command
    from monitoring.operations import command as operations

    parser = argparse.ArgumentParser(prog="python -m monitoring", description="Watch a model and its data.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    drift_command.add_parser(commands)
    operations.add_parsers(commands)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:
        # argparse leaves with 2, which is none of the documented codes.
        return 1 if stop.code else 0
    try:
        return int(arguments.run(arguments))
    except AlmanacError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
