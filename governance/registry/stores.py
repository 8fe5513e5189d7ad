"""Where a registry keeps its objects: a directory, an S3 bucket or a Google bucket.

The registry asks one thing of a store that most file layers do not give: a *create-only* put that is atomic, so that
of many writers of one key exactly one succeeds and the others are told. Locally that is link(2) onto a name, on S3
`If-None-Match: *`, on Google Cloud Storage `ifGenerationMatch=0`. `Store.probe` tries it on the store itself, because
some S3 clones accept the condition and ignore it.
"""

import os
import time
import uuid
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from almanac.core.errors import RegistryError

DEFAULT = "registry"
"""Address of the registry where nobody says another: beside the project."""
_TEMPORARY = ".temporary"
_CONFLICT_RETRIES = 10
_ABANDONED_SECONDS = 3600


class Store(ABC):
    """Named byte strings below one URL; keys are relative paths with forward slashes."""

    url: str

    @abstractmethod
    def create(self, key: str, data: bytes) -> None:
        """Write `data` under `key` if nothing is there yet, atomically.

        Raises:
            FileExistsError: the key is taken; nothing was changed.
        """

    @abstractmethod
    def replace(self, key: str, data: bytes) -> None:
        """Write `data` under `key`, whole, whatever was there."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return the bytes under `key`.

        Raises:
            FileNotFoundError: nothing is stored under the key.
        """

    @abstractmethod
    def keys(self, prefix: str) -> list[str]:
        """Return the names directly below `prefix`, sorted; an absent prefix has none."""

    @abstractmethod
    def tree(self, prefix: str) -> list[str]:
        """Return the paths of everything below `prefix`, relative to it, sorted; an absent prefix has none."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key` if it is there. Used on the probe alone: nothing else is ever removed."""

    def probe(self) -> None:
        """Put one key twice, and refuse the store unless the second put is refused.

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
                "to create); two promotions at once would lose one. Use a local directory, AWS S3, Google Cloud "
                "Storage, or an S3 service that honours If-None-Match"
            )


class LocalStore(Store):
    """A directory on a file system with hard links."""

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        self._root = root

    def create(self, key: str, data: bytes) -> None:
        """Write aside, flush to disk, then link(2) onto the name: it fails if the name exists."""
        path = self._root / key
        if path.exists():  # spares the write; the link below is what decides
            raise FileExistsError(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._write_aside(data)
        try:
            os.link(aside, path)
            _flush_directory(path.parent)
        finally:
            aside.unlink(missing_ok=True)

    def replace(self, key: str, data: bytes) -> None:
        """Write aside, flush to disk, then rename over the name."""
        path = self._root / key
        aside = self._write_aside(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.replace(path)

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
        """Also sweep what writers killed long ago left aside."""
        super().probe()
        for aside in (self._root / _TEMPORARY).iterdir():
            with suppress(FileNotFoundError):
                if time.time() - aside.stat().st_mtime > _ABANDONED_SECONDS:
                    aside.unlink()

    def _write_aside(self, data: bytes) -> Path:
        folder = self._root / _TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / uuid.uuid4().hex
        with open(aside, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        aside.chmod(0o444)
        return aside


class ObjectStore(Store):
    """An S3 or Google Cloud Storage bucket, through fsspec's own conditional puts."""

    def __init__(self, url: str, filesystem: Any, root: str) -> None:
        self.url = url
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def create(self, key: str, data: bytes) -> None:
        """Put with the store's create-only condition; a passing conflict (409) is tried again."""
        for attempt in range(_CONFLICT_RETRIES):
            try:
                self._filesystem.pipe_file(f"{self._root}/{key}", data, mode="create")
                return
            except Exception as error:
                status = _status(error)
                if status == 412 or isinstance(error, FileExistsError):
                    raise FileExistsError(f"{self.url}/{key}") from error
                if status != 409 or attempt == _CONFLICT_RETRIES - 1:
                    raise _as_os_error(error, f"{self.url}/{key}") from error

    def replace(self, key: str, data: bytes) -> None:
        """Put without a condition."""
        self._call("pipe_file", key, data)

    def read(self, key: str) -> bytes:
        """Get the object."""
        return bytes(self._call("cat_file", key))

    def keys(self, prefix: str) -> list[str]:
        """List one level below the prefix, past any listing cache."""
        self._filesystem.invalidate_cache()
        try:
            names = self._call("ls", prefix, False)
        except FileNotFoundError:
            return []
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in names)

    def tree(self, prefix: str) -> list[str]:
        """List everything below the prefix, past any listing cache."""
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
        """Call a method of the file system; botocore's and gcsfs' own errors become OSError."""
        try:
            return getattr(self._filesystem, method)(f"{self._root}/{key}", *arguments)
        except Exception as error:
            raise _as_os_error(error, f"{self.url}/{key}") from error


def open_store(url: str) -> Store:
    """Return the store behind `url`: a path, `file://`, `s3://bucket/prefix` or `gs://bucket/prefix`.

    Raises:
        RegistryError: a scheme that has no atomic create-only put, named; in a pod, a path that is the pod's own.
    """
    url = _shared(url)
    scheme = urlsplit(url).scheme if "://" in url else "file"
    if scheme == "file":
        return LocalStore(url, Path(url.removeprefix("file://")).expanduser().absolute())
    if scheme in ("s3", "gs"):
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        return ObjectStore(url.rstrip("/"), filesystem, root)
    raise RegistryError(
        f"registry {url}: a {scheme}:// store has no atomic create-only put; use a directory, s3:// or gs://"
    )


def _shared(url: str) -> str:
    """Return the address; in a pod that of the cluster (ALMANAC_REGISTRY) in place of the default."""
    if "://" in url or Path(url).is_absolute() or "KUBERNETES_SERVICE_HOST" not in os.environ:
        return url
    named = os.environ.get("ALMANAC_REGISTRY")
    if named and url == DEFAULT and named != url:
        return _shared(named)
    raise RegistryError(
        f"registry {url}: a path in this pod alone, which no other task sees; right would be s3://, gs:// or the "
        "absolute path of a shared volume, as the parameter registry or the key registry of the config map almanac"
    )


def _flush_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _status(error: BaseException) -> int | None:
    """Return the HTTP status behind an error of botocore (wrapped by s3fs) or gcsfs, if there is one."""
    for cause in (error, error.__cause__):
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
        code = getattr(cause, "code", None)
        if isinstance(code, int | str) and str(code).isdigit():
            return int(code)
    return None


def _as_os_error(error: Exception, where: str) -> OSError:
    return error if isinstance(error, OSError) else OSError(f"{where}: {type(error).__name__}: {error}")
