"""Stores of a registry's objects: a directory, an S3 bucket or a Google bucket.

The registry needs an atomic *create-only* put, with which exactly one of many writers of a key succeeds and the others
get an error: link(2) in a directory, `If-None-Match: *` on S3, `ifGenerationMatch=0` on Google Cloud Storage.
`Store.probe` tries it on the store itself, because some S3 clones accept the condition and ignore it.
"""

import os
import random
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from almanac.core.errors import RegistryError

DEFAULT = "registry"
"""Directory of the registry if no other is given."""
_TEMPORARY = ".temporary"
_CONFLICT_RETRIES = 10
# Doubled after each conflict, up to 3.2 s and about 10 s in all: as long as another writer's put may take.
_CONFLICT_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 3.2
# Younger temporary files may belong to a writer that is still at work.
_ABANDONED_SECONDS = 3600


class Store(ABC):
    """Named byte strings below one URL; keys are relative paths with forward slashes."""

    url: str

    @abstractmethod
    def create(self, key: str, data: bytes) -> None:
        """Create `key` atomically.

        Raises:
            FileExistsError: the key exists and was not changed.
        """

    @abstractmethod
    def replace(self, key: str, data: bytes) -> None:
        """Write `data` under `key` atomically, over an earlier value."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return the bytes under `key`.

        Raises:
            FileNotFoundError: the key does not exist.
        """

    def read_ahead(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Fetch and return objects that never change and are read once soon; without keys, forget the rest."""
        # A disk has nothing to gain.
        return {}

    @abstractmethod
    def keys(self, prefix: str) -> list[str]:
        """Return the names directly below `prefix`, sorted; an absent prefix has none."""

    @abstractmethod
    def tree(self, prefix: str) -> list[str]:
        """Return the paths of everything below `prefix`, relative to it, sorted; an absent prefix has none."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key` if it exists; used for the probe only, as a registry never removes anything else."""

    def probe(self) -> None:
        """Create one key twice, and refuse the store unless it refuses the second put.

        Raises:
            RegistryError: the store cannot be written, or ignores the condition.
        """
        key = f"probe/{uuid.uuid4().hex}"
        try:
            self.create(key, b"first")
            try:
                self.create(key, b"second")
            except FileExistsError:
                kept = self.read(key) == b"first"
            else:
                kept = False
        except OSError as error:
            raise RegistryError(f"registry {self.url}: cannot be written: {error}") from error
        finally:
            with suppress(OSError):
                self.delete(key)
        if not kept:
            raise RegistryError(
                f"registry {self.url}: the store has no create-only put (it overwrote an object that it was told "
                "to create); of two promotions at once one would be lost. Use a local directory, AWS S3, Google Cloud "
                "Storage, or an S3 service that honours If-None-Match"
            )


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


class ObjectStore(Store):
    """An S3 or Google Cloud Storage bucket, by fsspec's conditional puts."""

    def __init__(self, url: str, filesystem: Any, root: str) -> None:
        self.url = url
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._ahead: dict[str, bytes] = {}

    def create(self, key: str, data: bytes) -> None:
        """Put with the store's create-only condition; retry after a passing conflict (409)."""
        for attempt in range(_CONFLICT_RETRIES):
            try:
                self._filesystem.pipe_file(f"{self._root}/{key}", data, mode="create")
                return
            except Exception as error:
                status = _status(error)
                # 412 says that the key exists; 409 only that another conditional put of it was under way.
                if status == 412 or isinstance(error, FileExistsError):
                    raise FileExistsError(f"{self.url}/{key}") from error
                if status != 409 or attempt == _CONFLICT_RETRIES - 1:
                    raise _as_os_error(error, f"{self.url}/{key}") from error
            # Spread at random, or the writers that met would meet again.
            time.sleep(random.uniform(0.5, 1) * min(_CONFLICT_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS))  # noqa: S311

    def replace(self, key: str, data: bytes) -> None:
        """Put without a condition."""
        self._call("pipe_file", key, data)

    def read(self, key: str) -> bytes:
        """Get the object."""
        if (fetched := self._ahead.pop(key, None)) is not None:
            return fetched
        return bytes(self._call("cat_file", key))

    def read_ahead(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Get the objects at once, as each request by itself waits for the network."""
        if not keys:
            self._ahead = {}
            return {}
        top = f"{self._root}/"
        # Whatever is missing or fails is read again, alone, by whoever needs it, and named there.
        found = self._filesystem.cat([f"{top}{key}" for key in keys], on_error="omit")
        fetched = {path.removeprefix(top): bytes(data) for path, data in found.items()}
        self._ahead.update(fetched)
        return fetched

    def keys(self, prefix: str) -> list[str]:
        """List one level below the prefix, without the listing cache."""
        self._filesystem.invalidate_cache()
        try:
            names = self._call("ls", prefix, False)
        except FileNotFoundError:
            return []
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in names)

    def tree(self, prefix: str) -> list[str]:
        """List everything below the prefix, without the listing cache."""
        self._filesystem.invalidate_cache()
        top = f"{self._root}/{prefix}/"
        try:
            return sorted(name.removeprefix(top) for name in self._call("find", prefix))
        except FileNotFoundError:
            return []

    def delete(self, key: str) -> None:
        """Delete the object."""
        self._call("rm_file", key)

    def _call(self, method: str, key: str, *arguments: Any) -> Any:
        """Call a method of the file system, and turn errors of botocore and gcsfs into OSError."""
        try:
            return getattr(self._filesystem, method)(f"{self._root}/{key}", *arguments)
        except Exception as error:
            raise _as_os_error(error, f"{self.url}/{key}") from error


def open_store(url: str) -> Store:
    """Return the store behind `url`: a path, `file://`, `s3://bucket/prefix` or `gs://bucket/prefix`.

    Raises:
        RegistryError: the scheme has no atomic create-only put; in a pod, a path that other pods do not see.
    """
    url = _shared(url)
    scheme = urlsplit(url).scheme if "://" in url else "file"
    if scheme == "file":
        return LocalStore(url, Path(url.removeprefix("file://")).expanduser().absolute())
    if scheme in ("s3", "gs"):
        import fsspec

        # Other processes write to the bucket, and a cached listing would not show their records.
        filesystem, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        return ObjectStore(url.rstrip("/"), filesystem, root)
    raise RegistryError(
        f"registry {url}: a {scheme}:// store has no atomic create-only put; use a directory, s3:// or gs://"
    )


def _shared(url: str) -> str:
    """Return the URL; in a pod, ALMANAC_REGISTRY instead of the default."""
    if "://" in url or Path(url).is_absolute() or "KUBERNETES_SERVICE_HOST" not in os.environ:
        return url
    configured = os.environ.get("ALMANAC_REGISTRY")
    if configured and url == DEFAULT and configured != url:
        return _shared(configured)
    raise RegistryError(
        f"registry {url}: a path of this pod, which no other task sees; use s3://, gs:// or the absolute path of a "
        "shared volume, in the parameter registry or the key registry of the config map almanac"
    )


def _flush_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error of botocore (wrapped by s3fs) or gcsfs, if it has one."""
    for cause in (error, error.__cause__):
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
        code = getattr(cause, "code", None)
        if isinstance(code, int | str) and str(code).isdigit():
            return int(code)
    return None


def _as_os_error(error: Exception, key: str) -> OSError:
    return error if isinstance(error, OSError) else OSError(f"{key}: {type(error).__name__}: {error}")
