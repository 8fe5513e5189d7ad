"""Store of a registry's objects in a bucket: `If-None-Match: *` on S3, `ifGenerationMatch=0` on Google Cloud."""

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from governance.registry.store import Store

_CONFLICT_RETRIES = 10
# Doubled after each conflict, up to 3.2 s and about 10 s in all: as long as another writer's put may take.
_CONFLICT_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 3.2


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
