"""`python -m governance`: the commands `registry` and `verify` of `almanac`, for images and workflows."""

from almanac.core.commands import exit_code_of
from governance.commands import app


def main() -> int:
    """Run the command line and return its exit code."""
    return exit_code_of(app)


if __name__ == "__main__":
    raise SystemExit(main())
