"""Files on disks and object stores."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from almanac.core.errors import SourceError
from almanac.data.cache import Cache, Content
from almanac.data.sources import FetchContext, SourceKind
from almanac.data.sources.http import without_credentials
from almanac.usecase.data_section import SourceBase


class FileSource(SourceBase):
    """A file on a disk or an object store: a path, or an s3:// or gs:// address."""

    type: Literal["file"]
    path: str
    """Path, relative to the use case file, or address."""


def _attempts(source: FileSource, context: FetchContext) -> list[Callable[[], Content]]:
    if "://" in source.path:
        return [lambda: _read_store(source.path, context.cache)]
    return [lambda: _read_disk(source.path, context.base, context.cache)]


def _read_disk(path: str, base: Path, cache: Cache) -> Content:
    try:
        # A file of this machine needs no copy, and is read anew each time, since it may have changed.
        return cache.see((base / path).read_bytes(), path)
    except FileNotFoundError:
        raise SourceError(f"no file {path}, relative to the use case file") from None
    except (IsADirectoryError, PermissionError) as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None


def _read_store(address: str, cache: Cache) -> Content:
    """Return an object, from the cache unless it has changed in the store."""
    from fsspec.core import url_to_fs

    shown = without_credentials(address)
    try:
        store, path = url_to_fs(address)
        # Fsspec keeps listings for the life of a process.
        store.invalidate_cache()
        version = store.ukey(path)
        if (recalled := cache.recall(address)) is not None and recalled[1].get("mark") == version:
            return recalled[0]
        data = store.cat_file(path)
    except FileNotFoundError:
        raise SourceError(f"{shown}: there is no such object") from None
    except ImportError as error:
        raise SourceError(f"{shown}: needs a library that is not installed: {error}") from None
    except Exception as error:  # Each store's library raises errors of its own.
        raise SourceError(f"{shown}: {type(error).__name__}: {error}") from None
    content = cache.keep(data, shown)
    cache.remember(address, content, {"mark": version})
    return content


KIND = SourceKind("file", FileSource, _attempts)
