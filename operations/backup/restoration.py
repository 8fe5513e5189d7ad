"""Restoring an archive to an empty place, and proving that nothing is missing."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from almanac.core.errors import BackupError
from almanac.core.files import write_bytes
from governance.registry import Registry
from governance.registry.stores import open_store
from operations.backup.archive import LIST, LOG, REGISTRY, RUNS, Progress, inspect, members
from operations.history import Origins, digest, rebuild
from operations.history.sources.runs import run_directories
from orchestration.rundir import point_latest


@dataclass(frozen=True)
class Restored:
    """Result of a restoration.

    Attributes:
        files: number of files.
        versions: number of versions of each use case, each verified.
        history: sha256 of the history, that of the archive where the archive states one.
    """

    files: int
    versions: dict[str, int]
    history: str


def restore(path: Path, origins: Origins, engine: Engine, progress: Progress = lambda text: None) -> Restored:
    """Restore an archive, verify the registry, and make the history again.

    Args:
        path: the archive.
        origins: where everything goes; each place is empty.
        engine: the history.
        progress: told the name of each file.

    Raises:
        BackupError: a damaged archive, a place that is not empty, or a history that differs from the archive's.
        RegistryError: the registry cannot be written, or does not verify.
    """
    contents = inspect(path)
    folders = {RUNS: origins.runs, LOG: Path(origins.log) if origins.log else None}
    _check_empty(origins)
    if contents.count(LOG) and not origins.log:
        raise BackupError(f"{path}: holds {contents.count(LOG)} files of the prediction log; name a place by --log")
    store = open_store(origins.registry)
    for name, data in members(path):
        part, _, rest = name.partition("/")
        if part == REGISTRY:
            store.create(rest, data)
        elif (folder := folders.get(part)) is not None and name != LIST:
            write_bytes(folder / rest, data)
        progress(name)
    # Links are no files: the newest run of each kind is pointed to again.
    for directory in run_directories(origins.runs):
        point_latest(directory)
    registry = Registry(origins.registry)
    versions = {name: len(registry.verify(name).versions) for name in registry.use_cases()}
    rebuild(engine, origins)
    if (found := digest(engine)) != contents.history and contents.history:
        raise BackupError(f"{path}: everything was restored, but the history differs from that of the archive")
    return Restored(len(contents.files), versions, found)


def _check_empty(origins: Origins) -> None:
    if open_store(origins.registry).keys("use_cases"):
        raise BackupError(f"--registry {origins.registry}: is not empty; restore to an empty place, and move it then")
    for option, folder in (("--runs", origins.runs), ("--log", Path(origins.log) if origins.log else None)):
        if folder is not None and folder.is_dir() and any(folder.iterdir()):
            raise BackupError(f"{option} {folder}: is not empty; restore to an empty place, and move it then")
