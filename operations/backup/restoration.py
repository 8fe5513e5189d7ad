"""Restoring an archive to an empty place, and proving that nothing is missing."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from almanac.core.errors import BackupError
from almanac.core.files import write_bytes
from almanac.core.image import VERSION
from governance.registry import Registry
from governance.registry.stores import open_store
from operations.backup.archive import LIST, LOG, REGISTRY, RUNS, Contents, Progress, inspect, members
from operations.history import Origins, digest, rebuild
from operations.history.sources.runs import run_directories
from orchestration.rundir import point_latest


@dataclass(frozen=True)
class Restored:
    """Result of a restoration.

    Attributes:
        files: number of files.
        versions: number of versions of each use case, each verified.
        history: sha256 of the history.
        uncompared: why it was not compared with the archive's; empty where both are the same.
    """

    files: int
    versions: dict[str, int]
    history: str
    uncompared: str


def restore(path: Path, origins: Origins, engine: Engine, progress: Progress = lambda text: None) -> Restored:
    """Restore an archive, verify the registry, and make the history again.

    Args:
        path: the archive.
        origins: where everything goes; each place is empty.
        engine: the history.
        progress: told the name of each file.

    Raises:
        BackupError: a damaged archive, a place that is not empty, or a history that differs from that of an
            archive of this release.
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
    found, uncompared = digest(engine), _uncompared(contents)
    if not uncompared and found != contents.history:
        raise BackupError(f"{path}: everything was restored, but the history differs from that of the archive")
    return Restored(len(contents.files), versions, found, uncompared)


def _uncompared(contents: Contents) -> str:
    """Return why the history of an archive cannot be compared with the restored one."""
    if not contents.history:
        return "others wrote while the archive was made"
    # Another release makes other tables of the same origins.
    return "" if contents.release == VERSION else f"the archive is of release {contents.release}"


def _check_empty(origins: Origins) -> None:
    if open_store(origins.registry).keys("use_cases"):
        raise BackupError(f"--registry {origins.registry}: is not empty; restore to an empty place, and move it then")
    for option, folder in (("--runs", origins.runs), ("--log", Path(origins.log) if origins.log else None)):
        if folder is not None and folder.is_dir() and any(folder.iterdir()):
            raise BackupError(f"{option} {folder}: is not empty; restore to an empty place, and move it then")
