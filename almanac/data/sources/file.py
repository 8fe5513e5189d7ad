"""Files on disks and object stores."""

from pathlib import Path

from almanac.core.errors import SourceError
from almanac.data.cache import Cache, Content
from almanac.data.sources.http import plain


def read(path: str, base: Path, cache: Cache) -> Content:
    """Return the file at a path relative to `base`, or at an address that fsspec knows (s3://, gs://).

    What an object store gives is kept in the cache, and fetched again only when the object has changed.

    Raises:
        SourceError: there is no such file, or the store does not answer.
    """
    return _read_store(path, cache) if "://" in path else _read_disk(path, base, cache)


def _read_disk(path: str, base: Path, cache: Cache) -> Content:
    try:
        return cache.see((base / path).read_bytes(), path)
    except FileNotFoundError:
        raise SourceError(f"no file {path}, relative to the use case file") from None
    except (IsADirectoryError, PermissionError) as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None


def _read_store(address: str, cache: Cache) -> Content:
    from fsspec.core import url_to_fs

    shown = plain(address)
    try:
        store, path = url_to_fs(address)
        store.invalidate_cache()
        mark = store.ukey(path)
        if (known := cache.recall(address)) is not None and known[1].get("mark") == mark:
            return known[0]
        data = store.cat_file(path)
    except FileNotFoundError:
        raise SourceError(f"{shown}: there is no such object") from None
    except ImportError as error:
        raise SourceError(f"{shown}: needs a library that is not installed: {error}") from None
    except Exception as error:  # each store's library raises errors of its own
        raise SourceError(f"{shown}: {type(error).__name__}: {error}") from None
    content = cache.keep(data, shown)
    cache.remember(address, content, {"mark": mark})
    return content
