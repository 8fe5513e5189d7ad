"""This environment, as make finds it in a directory of its own."""

import sys
from pathlib import Path

STAMPS = (".uv", ".components", ".serving", ".dev")


def install(place: Path) -> None:
    """Let a checkout have this environment, told to be that of its requirements, so that make installs nothing."""
    (place / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name not in STAMPS:
            (place / ".venv" / path.name).symlink_to(path)
    for stamp in STAMPS:
        (place / ".venv" / stamp).touch()
