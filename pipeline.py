"""The application: Almanac's command line with the pipelines of this project. `python pipeline.py --help` lists it."""

from types import ModuleType

from orchestration.commands import main as run_command


def _pipelines() -> ModuleType:
    # Imports Kubeflow, which takes a second that most commands do not need.
    import pipelines

    return pipelines


def main() -> None:
    """Run the command line `almanac`."""
    run_command(_pipelines)


if __name__ == "__main__":
    main()
