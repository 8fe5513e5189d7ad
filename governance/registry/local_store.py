"""Store of a registry's objects in a directory, by link(2)."""

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

from governance.registry.store import Store

_TEMPORARY = ".temporary"
# Younger temporary files may belong to a writer that is still at work.
_ABANDONED_SECONDS = 3600


class LocalStore(Store):
    """A directory on a file system with hard links."""

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        self._root = root

    def create(self, key: str, data: bytes) -> None:
        """Write a temporary file, flush it to disk, then link(2) it to its name, which fails if the name exists."""
        path = self._root / key
        if path.exists():  # saves the write; the link below decides
            raise FileExistsError(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._write_temporary(data)
        try:
            os.link(temporary, path)
            # The fsync of a file does not make its name in the directory durable.
            _flush_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def replace(self, key: str, data: bytes) -> None:
        """Write a temporary file, flush it to disk, then rename it."""
        path = self._root / key
        temporary = self._write_temporary(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(path)
        # Until then a crash may bring the earlier file back.
        _flush_directory(path.parent)

    def read(self, key: str) -> bytes:
        """Return the file's bytes."""
        return (self._root / key).read_bytes()

    def keys(self, prefix: str) -> list[str]:
        """List the directory."""
        try:
            return sorted(path.name for path in (self._root / prefix).iterdir())
        except FileNotFoundError:
            return []

    def tree(self, prefix: str) -> list[str]:
        """Walk the directory."""
        top = self._root / prefix
        return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if not path.is_dir())

    def delete(self, key: str) -> None:
        """Unlink the file."""
        (self._root / key).unlink(missing_ok=True)

    def probe(self) -> None:
        """Also delete temporary files that killed writers have left."""
        super().probe()
        for path in (self._root / _TEMPORARY).iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()

    def _write_temporary(self, data: bytes) -> Path:
        # Inside the registry, as link and rename do not work across file systems.
        folder = self._root / _TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / uuid.uuid4().hex
        with open(temporary, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o444)
        return temporary


def _flush_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
