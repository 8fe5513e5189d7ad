"""Files of runs as people read them: in a directory of this machine, or published in the registry by a cluster."""

from collections.abc import Iterable
from pathlib import Path

from governance.registry.stores import open_store
from operations.history import Origins
from orchestration.published_runs import PublishedRuns


def run_files(origins: Origins, directory: str, names: Iterable[str]) -> list[str]:
    """Return those of the names that a run has.

    Args:
        origins: where runs are.
        directory: that of the run, as its row in the history has it.
        names: names of files.
    """
    own = origins.runs / directory
    if own.is_dir():
        return [name for name in names if (own / name).is_file()]
    published = set(_published(origins).files(directory))
    return [name for name in names if name in published]


def read_run_file(origins: Origins, directory: str, name: str) -> bytes:
    """Return a file of a run.

    Raises:
        OSError: it cannot be read; FileNotFoundError where there is none.
    """
    own = origins.runs / directory
    if own.is_dir():
        return _inside(own / name, origins.runs).read_bytes()
    return _published(origins).read(directory, name)


def _published(origins: Origins) -> PublishedRuns:
    return PublishedRuns(open_store(origins.registry))


def _inside(path: Path, root: Path) -> Path:
    if not path.resolve().is_relative_to(root.resolve()):
        raise FileNotFoundError(path)
    return path
