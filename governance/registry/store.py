"""The protocol of stores of a registry's objects.

The registry needs an atomic *create-only* put, with which exactly one of many writers of a key succeeds and the others
get an error. `Store.probe` tries it on the store itself, because some S3 clones accept the condition and ignore it.
"""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress

from almanac.core.errors import RegistryError


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
