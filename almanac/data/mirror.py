"""A directory of files found by their digest, for machines without a network: the variable ALMANAC_MIRROR."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from almanac.core.errors import SourceError
from almanac.core.files import read_json, sha256_bytes, sha256_file, write_json
from almanac.data.cache import Cache, Content

VARIABLE = "ALMANAC_MIRROR"


def from_mirror(sha256: str, cache: Cache) -> Content | None:
    """Return the file with this digest in the directory that ALMANAC_MIRROR names; None if there is none.

    Files are found by content, whatever their names and folders are. Their digests are kept in the cache, since the
    mirror may be read-only, and computed again for a file whose size or time has changed.

    Raises:
        SourceError: the variable names no directory.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    root = Path(name)
    if not root.is_dir():
        raise SourceError(f"{VARIABLE}: {name} is no directory; name one that holds the files, or unset the variable")
    for path in _with_digest(root, sha256, cache):
        data = path.read_bytes()
        # A digest that is remembered says nothing of a file that was changed within the resolution of its time.
        if sha256_bytes(data) == sha256:
            return cache.see(data, f"{VARIABLE}: {path.relative_to(root).as_posix()}")
    return None


def _with_digest(root: Path, sha256: str, cache: Cache) -> Iterator[Path]:
    """Yield the files with this digest, by their remembered digests where these are still valid."""
    index_path = cache.root / "mirrors" / f"{sha256_bytes(str(root.resolve()).encode())}.json"
    known = _read(index_path)
    index: dict[str, list[Any]] = {}
    for path in _files(root):
        state = path.stat()
        name, mark = path.relative_to(root).as_posix(), [state.st_size, state.st_mtime_ns]
        entry = known.get(name)
        # The index may have been damaged.
        if not isinstance(entry, list) or len(entry) != 3 or entry[:2] != mark:
            entry = [*mark, sha256_file(path)]
        index[name] = entry
    if index != known:
        write_json(index_path, index)
    return (root / name for name, entry in index.items() if entry[2] == sha256)


def _files(root: Path) -> list[Path]:
    """Return the files that can be read, without hidden ones, in a fixed order."""
    found = (path for path in sorted(root.rglob("*")) if path.is_file() and os.access(path, os.R_OK))
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
