"""`python -m monitoring.operations`: the commands that need no training stack, for the server's image."""

import argparse
import sys
from collections.abc import Sequence

from almanac.core.errors import AlmanacError
from monitoring.operations.command import add_parsers


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.operations", description="Export figures.")
    add_parsers(parser.add_subparsers(dest="command", required=True, metavar="COMMAND"))
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except AlmanacError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
