"""Files on disks and object stores."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from almanac.core.errors import SourceError
from almanac.data.bundle import bundle
from almanac.data.cache import Cache, Content
from almanac.data.sources import FetchContext, SourceKind
from almanac.data.sources.http import without_credentials
from almanac.usecase.data_section import SourceBase

T = TypeVar("T")

_PATTERN = re.compile(r"[*?\[]")


class FileSource(SourceBase):
    """A file on a disk or an object store, or several as one table."""

    type: Literal["file"]
    path: str | Annotated[list[str], Field(min_length=1)]
    """Path, relative to the use case file, or s3:// or gs:// address; a pattern such as servers/*.csv or
    year=*/*.parquet, or a list of these, for several files of one form."""

    @property
    def several(self) -> bool:
        """Whether the source is several files, even where one is found."""
        return isinstance(self.path, list) or _PATTERN.search(self.path) is not None


def _attempts(source: FileSource, context: FetchContext) -> list[Callable[[], Content]]:
    if source.several:
        paths = [source.path] if isinstance(source.path, str) else source.path
        return [lambda: _read_several(paths, context)]
    return [lambda: _read(str(source.path), context)]


def _read(path: str, context: FetchContext) -> Content:
    return _read_store(path, context.cache) if "://" in path else _read_disk(path, context.base, context.cache)


def _read_several(paths: list[str], context: FetchContext) -> Content:
    names = [name for path in paths for name in _matching(path, context.base)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"{twice[0]} is named twice by {', '.join(paths)}")
    data = bundle((without_credentials(name), _read(name, context).data) for name in names)
    return context.cache.see(data, ", ".join(map(without_credentials, paths)))


def _matching(path: str, base: Path) -> list[str]:
    """Return the files that a pattern matches, in the order of their names; a path without one is itself."""
    if not _PATTERN.search(path):
        return [path]
    if "://" in path:
        found = _matching_in_store(path)
    else:
        root = Path(Path(path).anchor) if Path(path).is_absolute() else base
        files = [file for file in root.glob(str(Path(path).relative_to(Path(path).anchor))) if file.is_file()]
        found = [str(file if Path(path).is_absolute() else file.relative_to(base)) for file in files]
    if not found:
        raise SourceError(f"no file matches {without_credentials(path)}, relative to the use case file")
    return sorted(found)


def _matching_in_store(address: str) -> list[str]:
    def matches(store: Any, path: str) -> list[str]:
        return [str(store.unstrip_protocol(name)) for name in store.glob(path)]

    return _with_store(address, matches)


def _read_disk(path: str, base: Path, cache: Cache) -> Content:
    try:
        # A file of this machine needs no copy, and is read anew each time, since it may have changed.
        return cache.see((base / path).read_bytes(), path)
    except FileNotFoundError:
        raise SourceError(f"no file {path}, relative to the use case file") from None
    except IsADirectoryError:
        raise SourceError(f"{path} is a directory; for its files as one table write a pattern: {path}/*.csv") from None
    except PermissionError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None


def _read_store(address: str, cache: Cache) -> Content:
    """Return an object, from the cache unless it has changed in the store."""

    def read(store: Any, path: str) -> Content:
        version = store.ukey(path)
        if (recalled := cache.recall(address)) is not None and recalled[1].get("mark") == version:
            return recalled[0]
        content = cache.keep(store.cat_file(path), without_credentials(address))
        cache.remember(address, content, {"mark": version})
        return content

    return _with_store(address, read)


def _with_store(address: str, do: Callable[[Any, str], T]) -> T:
    """Call `do` with the store of an address and the path in it; each failure is a SourceError."""
    from fsspec.core import url_to_fs

    shown = without_credentials(address)
    try:
        store, path = url_to_fs(address)
        # Fsspec keeps listings for the life of a process.
        store.invalidate_cache()
        return do(store, path)
    except FileNotFoundError:
        raise SourceError(f"{shown}: there is no such object") from None
    except ImportError as error:
        raise SourceError(f"{shown}: needs a library that is not installed: {error}") from None
    except SourceError:
        raise
    except Exception as error:  # Each store's library raises errors of its own.
        raise SourceError(f"{shown}: {type(error).__name__}: {error}") from None


KIND = SourceKind("file", FileSource, _attempts)
