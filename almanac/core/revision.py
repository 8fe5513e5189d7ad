"""Revision of the code that produced a result."""

import os
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def git_revision(root: Path = _ROOT) -> str:
    """Return the revision of the code, with `-dirty` after uncommitted changes, `unknown` outside a checkout.

    In an image, which has no checkout, it comes from the environment variable ALMANAC_REVISION.
    """
    if "ALMANAC_REVISION" in os.environ:
        return os.environ["ALMANAC_REVISION"]
    try:
        # All tags are excluded, so that the name is always the full hash and never one such as v0.1.0-3-g1a2b3c4.
        command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
