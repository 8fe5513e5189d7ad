"""Failed runs of a use case: of a directory of runs, or of a cluster in the registry's store."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from almanac.core.files import parse_json
from governance.registry import Registry
from governance.registry.stores import open_store
from orchestration.published_runs import PublishedRuns
from orchestration.rundir import FAILURES

#: Longest run.
_LONGEST = timedelta(days=7)


@dataclass(frozen=True)
class Failed:
    """A failed run.

    Attributes:
        run: its id.
        kind: of its pipeline: training, monitoring or batch.
        step: that failed first; empty where nobody knows.
        error: its message.
        when: when it ended.
        place: file or address of its record.
        table: path of the table that it looked at; empty where there is none.
        gate_closed: whether its gate closed, which is an answer and no failure.
    """

    run: str
    kind: str
    step: str
    error: str
    when: datetime
    place: str
    table: str = ""
    gate_closed: bool = False


def failed_runs(runs: Path, registry: str, use_case: str, since: datetime) -> Iterator[Failed]:
    """Yield the runs that have failed since a time, on this machine or on a cluster; damaged records are passed over.

    Raises:
        OSError: the registry's store cannot be read.
    """
    # The ids of runs begin with their time.
    first = f"{since - _LONGEST:%Y%m%d}"
    home = runs / use_case / FAILURES
    places = [str(path) for path in sorted(home.glob("*.json")) if path.name >= first]
    published = PublishedRuns(open_store(registry))
    keys = [key for key in published.failures(use_case) if key.rpartition("/")[2] >= first]
    for place in (*places, *map(published.failure_address, keys)):
        found = failed_run(registry, place)
        if found is not None and found.when >= since:
            yield found


def failed_run(registry: str, place: str) -> Failed | None:
    """Return the failed run whose record is at a place; None where there is none, or a damaged one.

    Raises:
        OSError: the registry's store cannot be read.
    """
    published = place.startswith(f"{open_store(registry).url}/{FAILURES}/")
    try:
        return _published(registry, place) if published else _parsed(place, Path(place).read_bytes())
    except (FileNotFoundError, ValueError, KeyError, TypeError, OverflowError):
        return None
    except OSError:
        # A store that is away does not end the alarms whose records it holds.
        if published:
            raise
        return None


def is_over(failed: Failed, runs: Path, registry: str, use_case: str) -> bool:
    """Return whether a later run of the kind has succeeded, here or on a cluster.

    Raises:
        RegistryError: the registry's records cannot be read.
    """
    latest = runs / use_case / ("" if failed.kind == "training" else failed.kind) / "latest"
    published = PublishedRuns(open_store(registry)).newest(use_case, failed.kind) or ""
    if max(latest.resolve().name if latest.exists() else "", published.rpartition("/")[2]) > failed.run:
        return True
    # A training on a cluster leaves a version.
    versions = Registry(registry).state(use_case).versions.values() if failed.kind == "training" else ()
    return any(datetime.fromisoformat(each.registered_at) > failed.when for each in versions)


@lru_cache(maxsize=256)
def _published(registry: str, place: str) -> Failed:
    store = open_store(registry)
    return _parsed(place, PublishedRuns(store).read_failure(place.removeprefix(f"{store.url}/")))


def _parsed(place: str, content: bytes) -> Failed:
    record = parse_json(content)
    return Failed(
        run=str(record["run_id"]),
        kind=str(record.get("kind", "run")),
        step=str(record.get("step", "")),
        error=str(record.get("error", "")),
        when=datetime.fromisoformat(str(record["failed_at"])).astimezone(UTC),
        place=place,
        table=str(record.get("table") or ""),
        gate_closed=record.get("gate_passed") is False,
    )
