"""Rows from the records of failed runs, in directories and in a registry."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, delete

from almanac.core.errors import HistoryError
from almanac.core.files import parse_json
from governance.registry.stores import open_store
from operations.agent.redaction import without_secrets
from operations.history.sources import Part, Rows
from operations.history.sources.runs import file_state
from operations.history.tables import FAILURES
from orchestration.published_runs import PublishedRuns
from orchestration.rundir import FAILURES as FOLDER


def failure_parts(runs: Path) -> Iterator[Part]:
    """Yield the failed runs below a directory of runs.

    Raises:
        HistoryError: where the rows are read, a record that cannot be read; it is named.
    """
    for path in sorted(runs.glob(f"*/{FOLDER}/*.json")):
        key = str(path.relative_to(runs))
        yield Part("failure", key, file_state(path), partial(_rows, key, str(path), path.read_bytes))


def published_failure_parts(url: str) -> Iterator[Part]:
    """Yield the failed runs of a cluster whose records are in a registry.

    Raises:
        HistoryError: where the rows are read, a record that cannot be read; it is named.
    """
    runs = PublishedRuns(open_store(url))
    for key in runs.failures():
        # They are written once.
        yield Part(
            "published failure",
            key,
            "",
            partial(_rows, key, runs.failure_address(key), partial(runs.read_failure, key)),
        )


def clear_failure(connection: Connection, key: str) -> None:
    """Delete the row of a failed run, given by its record."""
    connection.execute(delete(FAILURES).where(FAILURES.c.record == key))


def _rows(key: str, place: str, read: Callable[[], bytes]) -> Rows:
    try:
        record = parse_json(read())
        texts = {name: without_secrets(str(record.get(name) or "")) for name in ("step", "error", "command")}
        yield (
            FAILURES,
            {
                "id": record["run_id"],
                "use_case": record["use_case"],
                "kind": record["kind"],
                "failed": record["failed_at"],
                # Records of earlier releases are of this machine.
                "runner": record.get("runner", "subprocess"),
                "gate_passed": record.get("gate_passed"),
                "record": key,
                **texts,
            },
        )
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise HistoryError(
            f"{place}: not the record of a failed run ({type(error).__name__}: {error}); remove it or restore it"
        ) from error
