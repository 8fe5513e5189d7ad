"""The newest monitoring of a use case: of a run directory, or of a cluster's run in the registry's store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from almanac.core.errors import AgentError, AlmanacError
from almanac.core.files import parse_json
from governance.registry.stores import open_store
from orchestration.published_runs import PublishedRuns

_KIND, _RECORD, _DOCUMENT = "monitoring", "run.json", "monitoring.json"


@dataclass(frozen=True)
class Monitored:
    """A monitoring.

    Attributes:
        run: id of the run; empty where its record is missing.
        document: monitoring.json.
        place: the file or address of the document.
        published: whether it is in the registry's store.
    """

    run: str
    document: dict[str, Any]
    place: str
    published: bool = False

    @contextmanager
    def reading(self) -> Iterator[dict[str, Any]]:
        """Yield the document, and raise an error with its place where the block fails on a field of it.

        Raises:
            AgentError: the document is damaged, or not of a monitoring.
        """
        try:
            yield self.document
        # UseCaseError and others of ours are ValueErrors as well.
        except AlmanacError:
            raise
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise AgentError(
                f"{self.place}: not the result of a monitoring ({type(error).__name__}: {error}); "
                "remove its run, or monitor again"
            ) from error


def newest_monitoring(runs: Path, registry: str, use_case: str) -> Monitored | None:
    """Return the newest monitoring, of a run on this machine or on a cluster; None without any.

    Raises:
        AgentError: its document cannot be read.
        RegistryError: the note of the newest run on a cluster cannot be read.
        OSError: the registry's store cannot be read.
    """
    found = [each for each in (_local(runs, use_case), _published(registry, use_case)) if each is not None]
    # The ids of runs begin with their time.
    return max(found, key=lambda each: each.run, default=None)


def newest_table(registry: str, use_case: str) -> bytes:
    """Return the table that the newest monitoring on a cluster looked at, as Parquet.

    Raises:
        FileNotFoundError: there is none.
    """
    return PublishedRuns(open_store(registry)).table(use_case, _KIND)


def _local(runs: Path, use_case: str) -> Monitored | None:
    latest = runs / use_case / _KIND / "latest"
    try:
        document = (latest / _DOCUMENT).read_bytes()
        record = (latest / _RECORD).read_bytes() if (latest / _RECORD).is_file() else b'{"run_id": ""}'
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AgentError(f"{latest}: cannot be read ({error.strerror})") from None
    return _parsed(str((latest / _DOCUMENT).resolve()), record, document)


def _published(registry: str, use_case: str) -> Monitored | None:
    newest = PublishedRuns(open_store(registry)).newest(use_case, _KIND)
    return None if newest is None else _read(registry, newest)


@lru_cache(maxsize=32)
def _read(registry: str, directory: str) -> Monitored:
    runs = PublishedRuns(open_store(registry))
    try:
        record, document = (runs.read(directory, name) for name in (_RECORD, _DOCUMENT))
    except FileNotFoundError as error:
        raise AgentError(f"{runs.address(directory)}: has not all of its files ({error})") from None
    return replace(_parsed(f"{runs.address(directory)}/{_DOCUMENT}", record, document), published=True)


def _parsed(place: str, record: bytes, document: bytes) -> Monitored:
    try:
        found = parse_json(document)
        if not isinstance(found, dict):
            raise ValueError("not a JSON object")
        return Monitored(str(parse_json(record)["run_id"]), found, place)
    except (ValueError, KeyError, TypeError) as error:
        raise AgentError(f"{place}: cannot be read ({error})") from None
