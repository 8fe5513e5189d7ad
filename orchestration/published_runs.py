"""Runs on a cluster, in the registry's store: pods have no directory in common, but all know the registry.

Below `runs/` a run has the path that a local one has below the directory of runs, and the same files, which are written
once. A kind of runs also has a head, which names its newest, and the table that this one looked at; they are replaced.

Of a run that failed there is a record alone, below `failed/`. Its tasks do not write it: most reach no store, and a pod
that was killed writes nothing. The agent asks Kubeflow, which knows each failure.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import canonical_json, parse_json, pretty_json
from governance.registry.store import Store
from orchestration.rundir import FAILURES

_RECORD, _HEAD, _TABLE = "run.json", "head.json", "data.parquet"


class PublishedRuns:
    """The runs in a registry.

    Args:
        store: the registry's store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(self, directory: str, files: Mapping[str, bytes], table: bytes) -> None:
        """Write a run, and make it the newest of its kind.

        Args:
            directory: use case, kind and run id, such as demand/monitoring/20261127-043500-123456-80e3a0e8.
            files: content by name. The record run.json is written last: a run that has one is whole.
            table: the rows that the run looked at, as Parquet; those of earlier runs are not kept.

        Raises:
            RegistryError: the store cannot be written.
        """
        home, _, run = self._key(directory).rpartition("/")
        try:
            for name in sorted(files, key=lambda name: (name == _RECORD, name)):
                self._store.create(f"{home}/{run}/{name}", files[name])
            self._store.replace(f"{home}/{_TABLE}", table)
            self._store.replace(f"{home}/{_HEAD}", canonical_json({"run_id": run}))
        except OSError as error:
            raise RegistryError(f"{self.address(directory)}: cannot be written ({error})") from error

    def publish_failure(self, record: Mapping[str, Any]) -> None:
        """Write the record of a failed run, unless it is there.

        Raises:
            RegistryError: the store cannot be written.
        """
        key = f"{FAILURES}/{record['use_case']}/{record['run_id']}.json"
        try:
            with suppress(FileExistsError):
                self._store.create(key, pretty_json(record).encode())
        except OSError as error:
            raise RegistryError(f"{self._store.url}/{key}: cannot be written ({error})") from error

    def failures(self, use_case: str = "") -> list[str]:
        """Return the keys of the records of failed runs, sorted; of a use case, or of all."""
        home = f"{FAILURES}/{use_case}".rstrip("/")
        return [f"{home}/{name}" for name in self._store.tree(home)]

    def read_failure(self, key: str) -> bytes:
        """Return the record of a failed run, as JSON.

        Raises:
            FileNotFoundError: there is none.
        """
        return self._store.read(key)

    def failure_address(self, key: str) -> str:
        """Return the address of the record of a failed run."""
        return f"{self._store.url}/{key}"

    def listed(self) -> dict[str, list[str]]:
        """Return the names of the files of each whole run by its directory, sorted."""
        found: dict[str, list[str]] = {}
        for path in self._store.tree("runs"):
            directory, _, name = path.rpartition("/")
            found.setdefault(directory, []).append(name)
        return {directory: names for directory, names in found.items() if _RECORD in names}

    def files(self, directory: str) -> list[str]:
        """Return the names of a run's files, sorted; an unknown run has none."""
        return self._store.tree(self._key(directory))

    def newest(self, use_case: str, kind: str) -> str | None:
        """Return the directory of the newest run of a kind; None without any.

        Raises:
            RegistryError: the head is no head.
        """
        head = f"{use_case}/{kind}/{_HEAD}"
        try:
            return f"{use_case}/{kind}/{parse_json(self._store.read(self._key(head)))['run_id']}"
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(f"{self.address(head)}: cannot be read ({error})") from None

    def read(self, directory: str, name: str) -> bytes:
        """Return a file of a run.

        Raises:
            FileNotFoundError: the run has no such file.
        """
        return self._store.read(self._key(f"{directory}/{name}"))

    def read_ahead(self, files: Iterable[tuple[str, str]]) -> None:
        """Fetch files at once that are read once soon, each given by the directory of its run and its name."""
        self._store.read_ahead([self._key(f"{directory}/{name}") for directory, name in files])

    def table(self, use_case: str, kind: str) -> bytes:
        """Return the table of the newest run of a kind, as Parquet.

        Raises:
            FileNotFoundError: there is none.
        """
        return self._store.read(self._key(f"{use_case}/{kind}/{_TABLE}"))

    def address(self, directory: str) -> str:
        """Return the address of a run, or of one of its files."""
        return f"{self._store.url}/{self._key(directory)}"

    @staticmethod
    def _key(path: str) -> str:
        return f"runs/{path}"
