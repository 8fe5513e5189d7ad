"""Entry point of the registration component."""

from pathlib import Path

from almanac.usecase import load_text
from governance.registration import register, version_files


def run(usecase: str, model: str, inputs: dict[str, str], registry: str, environment: str, registration: str) -> None:
    """Register the run's files as a version, and sign its model."""
    files = version_files(model, **inputs)
    register(load_text(usecase, "usecase"), files, registry, environment, Path(registration))
