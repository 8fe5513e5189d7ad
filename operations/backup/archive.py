"""Archives: a tar file of the origins of the history, and at its end a list of the digests.

Everything in a registry is written once but the heads of its logs. Heads are read first, then the records, then what
records refer to, which was written before them: an archive that is made while others write holds together.
"""

import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from almanac.core.errors import BackupError
from almanac.core.files import parse_json, pretty_json, sha256_bytes, sha256_file, whole_file
from almanac.core.image import VERSION
from governance.registry.store import Store
from governance.registry.stores import open_store
from operations.history import Origins, digest, open_history, rebuild

LIST = "backup.json"
REGISTRY, RUNS, LOG = "registry", "runs", "log"
_HEAD, _RECORDS = "head.json", ("/events/", "/entries/")
# What a probe or a killed writer leaves is no part of a registry.
_PASSED_OVER = ("probe/", ".temporary/")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Contents:
    """Contents of an archive.

    Attributes:
        created: when it was made, ISO 8601.
        release: Almanac's version that made it.
        history: sha256 of the history of these origins; "" where somebody wrote to them meanwhile.
        files: sha256 by the name of each member.
    """

    created: str
    release: str
    history: str
    files: Mapping[str, str]

    def count(self, part: str) -> int:
        """Return the number of files of a part."""
        return sum(name.startswith(f"{part}/") for name in self.files)


def create(origins: Origins, out: Path, progress: Progress = lambda text: None) -> Contents:
    """Write an archive, whole or not at all.

    Args:
        origins: what is kept.
        out: the archive; compressed where its name ends in `.gz`.
        progress: told the name of each file.

    Raises:
        BackupError: it exists already, or a file of the log is not on a disk.
        RegistryError: the registry cannot be read.
    """
    if out.exists():
        raise BackupError(f"{out}: exists; an archive is never written over")
    if "://" in origins.log:
        raise BackupError(f"--log {origins.log}: is a store of its own; copy it by the store's tools, or leave it out")
    files: dict[str, str] = {}
    state = _state(origins)
    mode: Literal["w:gz", "w"] = "w:gz" if out.suffix == ".gz" else "w"
    # A run links files of equal content; each is kept whole, so that none depends on another.
    with whole_file(out) as aside, tarfile.open(aside, mode, dereference=True) as archive:
        for key, data in _registry_objects(open_store(origins.registry)):
            _add(archive, f"{REGISTRY}/{key}", data)
            files[f"{REGISTRY}/{key}"] = sha256_bytes(data)
            progress(key)
        for part, folder in ((RUNS, origins.runs), (LOG, Path(origins.log) if origins.log else None)):
            for path in _disk_files(folder):
                name = f"{part}/{path.relative_to(str(folder)).as_posix()}"
                archive.add(path, name, recursive=False)
                files[name] = sha256_file(path)
                progress(name)
        created, history = datetime.now(UTC).isoformat(timespec="seconds"), _history_digest(origins)
        contents = Contents(created, VERSION, history if _state(origins) == state else "", files)
        _add(archive, LIST, pretty_json(vars(contents)).encode())
    return contents


def inspect(path: Path) -> Contents:
    """Return the contents of an archive, once each of its files has the digest that is listed.

    Raises:
        BackupError: it cannot be read, is no backup, or is damaged; the file is named.
    """
    found: dict[str, str] = {}
    listed: dict[str, Any] | None = None
    for name, data in members(path):
        if name == LIST:
            listed = _parse(path, data)
        else:
            found[name] = sha256_bytes(data)
    if listed is None:
        raise BackupError(f"{path}: ends early; it has no {LIST}")
    contents = Contents(listed["created"], listed["release"], listed["history"], listed["files"])
    for name in sorted(found.keys() | contents.files.keys()):
        if found.get(name) != contents.files.get(name):
            raise BackupError(f"{path}: {name} is not as it was when the archive was made; use another archive")
    return contents


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each file of an archive.

    Raises:
        BackupError: it cannot be read, or holds something else than files of a backup.
    """
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                name = member.name
                if not member.isfile() or name.startswith("/") or ".." in Path(name).parts:
                    raise BackupError(f"{path}: {name}: is no file of a backup")
                stream = archive.extractfile(member)
                yield name, stream.read() if stream is not None else b""
    except (OSError, EOFError, tarfile.TarError) as error:
        raise BackupError(f"{path}: cannot be read as an archive ({error})") from None


def _registry_objects(store: Store) -> Iterator[tuple[str, bytes]]:
    for chosen in (_is_head, _is_record, lambda key: not _is_head(key) and not _is_record(key)):
        # Listed anew, so that nothing is missing that a record refers to.
        for key in _keys(store):
            if chosen(key):
                yield key, store.read(key)


def _keys(store: Store) -> list[str]:
    found = [f"{top}/{key}" for top in store.keys("") for key in store.tree(top)]
    return [key for key in found if not key.startswith(_PASSED_OVER)]


def _is_head(key: str) -> bool:
    return key.endswith(f"/{_HEAD}")


def _is_record(key: str) -> bool:
    return any(folder in key for folder in _RECORDS)


def _disk_files(folder: Path | None) -> list[Path]:
    if folder is None or not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _state(origins: Origins) -> tuple[object, ...]:
    """Return an identification of the origins' state: the registry's objects and its heads, and the files on disks."""
    store, folders = open_store(origins.registry), (origins.runs, Path(origins.log) if origins.log else None)
    keys = _keys(store)
    heads = [store.read(key) for key in keys if _is_head(key)]
    return (keys, heads, *(_disk_files(folder) for folder in folders))


def _history_digest(origins: Origins) -> str:
    with TemporaryDirectory() as folder:
        engine = open_history(f"sqlite:///{folder}/history.db")
        rebuild(engine, origins)
        found = digest(engine)
        engine.dispose()
    return found


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    archive.addfile(member, BytesIO(data))


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        listed = parse_json(data)
        if set(listed) == {"created", "release", "history", "files"} and isinstance(listed["files"], dict):
            return dict(listed)
    except (ValueError, TypeError):
        pass
    raise BackupError(f"{path}: {LIST} is not the list of a backup")
