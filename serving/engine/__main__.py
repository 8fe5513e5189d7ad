"""Compiles the kernels ahead of time: `python -m serving.engine [DIRECTORY]`."""

import os
import sys
from pathlib import Path

from components.common.errors import AlmanacError
from components.common.kernels import kernel_directory
from serving.engine.build import load_library


def main() -> int:
    """Compile into the directory given, or the one that a server of this user looks in, and print it."""
    if len(sys.argv) > 1:
        os.environ["ALMANAC_KERNELS"] = str(Path(sys.argv[1]).absolute())
    try:
        load_library()
        sys.stdout.write(f"{kernel_directory()}\n")
    except AlmanacError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
