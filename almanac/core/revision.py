"""The revision of the code that made a result."""

import os
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def git_revision(root: Path = _ROOT) -> str:
    """Return the revision of the code, `-dirty` where it was changed since, `unknown` outside a checkout.

    An image carries no checkout; it carries its revision in the environment variable ALMANAC_REVISION.
    """
    if "ALMANAC_REVISION" in os.environ:
        return os.environ["ALMANAC_REVISION"]
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
