"""The application: Almanac's command line with the pipelines of this project. `python pipeline.py --help` lists it."""

from collections.abc import Mapping
from typing import Any

from orchestration.commands import Builder, Pipelines
from orchestration.commands import main as run_command


def _builders() -> Mapping[str, Builder]:
    # Kubeflow takes a second to import, which most commands do not need.
    from pipelines import BUILDERS

    return BUILDERS


def _components() -> Mapping[str, Any]:
    from pipelines import load_components

    return load_components()


def main() -> None:
    """Run the command line `almanac`."""
    run_command(Pipelines(_builders, _components))


if __name__ == "__main__":
    main()
