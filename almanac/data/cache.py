"""The local cache: contents by digest, with their origins."""

import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from almanac.core.files import read_json, sha256_bytes, write_bytes, write_json

# Longer than any download that may still be running in another process.
_STALE_SECONDS = 86_400


@dataclass(frozen=True)
class Content:
    """The bytes of a source.

    Attributes:
        data: The bytes.
        sha256: Their digest.
        location: Their origin, without credentials.
        fetched_at: Time at which they were first seen, in UTC (ISO 8601).
    """

    data: bytes
    sha256: str
    location: str
    fetched_at: str


class Cache:
    """Contents by their sha256; each is written atomically, and verified when it is read.

    Layout: blobs/<sha256> holds bytes, origins/<sha256>.json their location and first time, keys/<key>.json the
    last content of an address without a declared digest, partial/ unfinished downloads.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        _remove_leftovers(root)

    def get(self, sha256: str) -> Content | None:
        """Return the content with this digest, None if it is absent or damaged; damaged bytes are removed."""
        path = self.root / "blobs" / sha256
        try:
            data = path.read_bytes()
            origin = read_json(self._origin(sha256))
            location, fetched_at = str(origin["location"]), str(origin["fetched_at"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        # A digest that does not match is a damaged disk or an edited file; the source is fetched again.
        if sha256_bytes(data) != sha256:
            path.unlink(missing_ok=True)
            return None
        return Content(data, sha256, location, fetched_at)

    def keep(self, data: bytes, location: str) -> Content:
        """Store fetched bytes."""
        content = self.see(data, location)
        path = self.root / "blobs" / content.sha256
        if not path.exists():
            write_bytes(path, data)
        return content

    def see(self, data: bytes, location: str) -> Content:
        """Record the origin of bytes that need no copy, such as those of a local file."""
        sha256 = sha256_bytes(data)
        path = self._origin(sha256)
        try:
            # The first time stays, so that the lineage of unchanged bytes does not change.
            fetched_at = str(read_json(path)["fetched_at"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            fetched_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            write_json(path, {"location": location, "fetched_at": fetched_at})
        return Content(data, sha256, location, fetched_at)

    def recall(self, key: str) -> tuple[Content, dict[str, Any]] | None:
        """Return the content last remembered under `key` and its notes, or None."""
        try:
            note = read_json(self._key(key))
            content = self.get(str(note["sha256"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return None if content is None else (content, note)

    def remember(self, key: str, content: Content, notes: dict[str, Any]) -> None:
        """Remember `content` under `key`, with notes for a later check that it is current."""
        write_json(self._key(key), {**notes, "sha256": content.sha256})

    def partial(self, address: str) -> Path:
        """Return the path of an unfinished download from `address`."""
        directory = self.root / "partial"
        directory.mkdir(parents=True, exist_ok=True)
        # An address is no file name, and its query may hold a token.
        return directory / sha256_bytes(address.encode())

    def _origin(self, sha256: str) -> Path:
        return self.root / "origins" / f"{sha256}.json"

    def _key(self, key: str) -> Path:
        return self.root / "keys" / f"{sha256_bytes(key.encode())}.json"


def _remove_leftovers(root: Path) -> None:
    """Remove temporary files of killed processes after a day; younger ones may still be in use."""
    for path in (*root.glob("*/.*.partial"), *root.glob("wheels/wheel-*")):
        try:
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except FileNotFoundError:
            continue
