"""Entry point of the documentation component."""

import shutil
from pathlib import Path
from typing import Any

from almanac.usecase import load_text
from governance.documentation import document
from governance.registration import version_files


def run(
    usecase: str,
    model: str,
    inputs: dict[str, str],
    registration: str,
    registry: str,
    governance: str,
    page: str,
    usage: dict[str, Any],
) -> bool:
    """Document the version, and return whether it is in production."""
    files, out = version_files(model, **inputs), Path(governance)
    version = document(load_text(usecase, "usecase"), files, Path(registration), registry, out, usage)
    shutil.copyfile(out / "index.html", page)
    return version.stage == "production"
