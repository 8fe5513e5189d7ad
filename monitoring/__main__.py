"""`python -m monitoring COMMAND …`: the commands of monitoring, for images without the pipelines."""

from collections.abc import Sequence

from almanac.core.commands import exit_code_of
from monitoring.commands import app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; see `almanac --help` for the codes."""
    return exit_code_of(lambda: app(arguments, prog_name="python -m monitoring"))


if __name__ == "__main__":
    raise SystemExit(main())
