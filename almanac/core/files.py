"""Atomic writes of files and directories, JSON, and digests."""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from almanac.core.errors import MetricError

_CHUNK = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """Return the hexadecimal sha256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hexadecimal sha256 of the file at `path`."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return `value` as sorted, minimal UTF-8 JSON, the form that is hashed.

    Raises:
        MetricError: a NaN or an infinity, which JSON cannot represent; its path is named.
    """
    refuse_non_finite(value)
    # `json` refuses such numbers too, but does not say where they are.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def pretty_json(value: Any) -> str:
    """Return `value` as indented JSON for people, keys in the order given.

    Raises:
        MetricError: a NaN or an infinity; its path is named.
    """
    refuse_non_finite(value)
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def refuse_non_finite(value: Any, path: str = "") -> None:
    """Raise MetricError with its path if `value` contains a NaN or an infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        raise MetricError(f"{path or '/'} is {value}; expected a finite number")
    if isinstance(value, dict):
        for key, item in value.items():
            refuse_non_finite(item, f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            refuse_non_finite(item, f"{path}/{index}")


@contextmanager
def whole_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path in the same directory; rename it to `path` if the block succeeds.

    A reader therefore sees the old file or the new one, and never a part. Until then only its owner can read it.

    Args:
        path: the file.
        mode: its permissions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        # Temporary files are private; others, such as a server, have to read this one.
        aside.chmod(mode)
        with open(aside, "rb") as stream:
            # The rename may reach the disk before the content does, and a crash leave an empty file.
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary directory next to `path`; replace `path` by it if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial"))
    old = aside.with_suffix(".old.partial")
    try:
        yield aside
        aside.chmod(0o755)
        # A directory can be renamed only onto an empty one. The old one moves out of the way rather than being removed
        # first, which takes long enough for a kill to leave neither.
        if path.exists():
            path.replace(old)
        aside.replace(path)
    finally:
        if old.exists() and not path.exists():
            old.replace(path)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, atomically."""
    with whole_file(path) as aside:
        aside.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically."""
    write_text(path, pretty_json(value))


def read_json(path: Path) -> Any:
    """Return the JSON document at `path`.

    Raises:
        ValueError: it is not JSON.
    """
    return parse_json(path.read_bytes())


def parse_json(data: bytes | str) -> Any:
    """Return a JSON document from outside.

    Raises:
        ValueError: it is not JSON, or nested more deeply than can be read.
    """
    try:
        return json.loads(data)
    # A RuntimeError, which nobody who reads a damaged file would expect.
    except RecursionError:
        raise ValueError("nested too deeply") from None
