"""Rows from runs, in directories and in a registry: the runs, figures of trainings, and windows of monitorings."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, delete, select

from almanac.core.errors import HistoryError
from almanac.core.files import parse_json
from governance.documents.layout import REGISTRATION
from governance.registry.overview import flatten
from governance.registry.stores import open_store
from operations.history.sources import Part, Rows
from operations.history.sources.text import as_text, number
from operations.history.tables import METRICS, PUBLISHED, RUNS, WINDOW_COLUMNS, WINDOW_TARGETS, WINDOWS
from orchestration.published_runs import PublishedRuns

_RECORD = "run.json"
#: Files of a run directory that rows are made from.
_FILES = (_RECORD, "monitoring.json", "metrics.json", "registration.json", "gate.json", REGISTRATION)
#: Fields of a step in a record, which pages and reports read.
_STEP = ("name", "seconds", "cached", "rows", "figure")
#: Published runs that are fetched together.
_AT_ONCE = 20
#: State of a file that is not there.
_MISSING = "-"
_Document = dict[str, Any]


def run_directories(runs: Path) -> Iterator[Path]:
    """Yield the directories of finished runs, oldest name first; links such as `latest` and caches are passed over."""
    for use_case in sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else ():
        for folder in (use_case, use_case / "monitoring", use_case / "batch"):
            names = sorted(folder.iterdir()) if folder.is_dir() else []
            yield from (path for path in names if not path.is_symlink() and (path / _RECORD).is_file())


def run_parts(runs: Path) -> Iterator[Part]:
    """Yield the runs below a directory of runs.

    Raises:
        HistoryError: where the rows are read, a record that cannot be read; it is named.
    """
    for directory in run_directories(runs):
        states = {name: file_state(directory / name) for name in _FILES}
        key, names = str(directory.relative_to(runs)), [name for name, state in states.items() if state != _MISSING]
        rows = partial(_rows, key, str(directory), names, partial(_read_file, directory))
        yield Part("run", key, " ".join(states.values()), rows)


def published_parts(url: str) -> Iterator[Part]:
    """Yield the runs that a cluster has published in a registry.

    Raises:
        HistoryError: where the rows are read, a record that cannot be read; it is named.
    """
    runs = PublishedRuns(open_store(url))
    listed = runs.listed()
    ahead = _Ahead(runs, listed)
    for key, names in listed.items():
        # They are written once.
        yield Part(PUBLISHED, key, "", partial(_rows, key, runs.address(key), names, partial(ahead.read, key)))


class _Ahead:
    """Reads published runs in the order of their list, many at a time: each request by itself waits for the network.

    Args:
        runs: the runs.
        listed: names of their files by directory.
    """

    def __init__(self, runs: PublishedRuns, listed: dict[str, list[str]]) -> None:
        self._runs, self._listed = runs, listed
        self._fetched: set[str] = set()

    def read(self, directory: str, name: str) -> bytes:
        """Return a file of a run."""
        if directory not in self._fetched:
            home = directory.rpartition("/")[0]
            # Those of another home may all be known; of this one, the runs after a new one are new.
            later = (each for each in self._listed if each >= directory and each.rpartition("/")[0] == home)
            batch = list(islice(later, _AT_ONCE))
            self._runs.read_ahead((each, file) for each in batch for file in self._listed[each] if file in _FILES)
            self._fetched.update(batch)
        return self._runs.read(directory, name)


def file_state(path: Path) -> str:
    """Return the size and the time of a file, by which a change of its content is seen."""
    try:
        found = path.stat()
    except OSError:
        return _MISSING
    return f"{found.st_size}@{found.st_mtime_ns}"


def clear_run(connection: Connection, key: str) -> None:
    """Delete the rows of a run, given by its directory."""
    found = connection.execute(select(RUNS.c.id, RUNS.c.use_case).where(RUNS.c.directory == key)).one_or_none()
    if found is None:
        return
    run_id, use_case = found
    figures = and_(METRICS.c.use_case == use_case, METRICS.c.kind == "run", METRICS.c.subject == run_id)
    connection.execute(delete(METRICS).where(figures))
    for table in (WINDOW_COLUMNS, WINDOW_TARGETS, WINDOWS):
        connection.execute(delete(table).where(table.c.run == run_id))
    connection.execute(delete(RUNS).where(RUNS.c.id == run_id))


def _read_file(directory: Path, name: str) -> bytes:
    return (directory / name).read_bytes()


def _rows(key: str, place: str, names: list[str], read: Callable[[str], bytes]) -> Rows:
    """Yield the rows of a run.

    Args:
        key: its directory below that of the runs.
        place: where it is, for errors.
        names: of its files.
        read: returns the content of a file.
    """
    documents = {name: _document(f"{place}/{name}", partial(read, name)) for name in _FILES if name in names}
    try:
        yield from _run(key, documents[_RECORD], *map(documents.get, _FILES[1:]))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise HistoryError(
            f"{place}: not the record of a run ({type(error).__name__}: {error}); remove the directory or restore it"
        ) from error


def _run(
    key: str,
    record: _Document,
    monitoring: _Document | None,
    metrics: _Document | None,
    registration: _Document | None,
    gate: _Document | None,
    registered: _Document | None,
) -> Rows:
    started, finished = (datetime.fromisoformat(record[name]) for name in ("started_at", "finished_at"))
    kind = "monitoring" if monitoring else "training" if metrics else "batch"
    yield (
        RUNS,
        {
            "id": record["run_id"],
            "use_case": record["use_case"],
            "kind": kind,
            "started": record["started_at"],
            "finished": record["finished_at"],
            "seconds": (finished - started).total_seconds(),
            "runner": record["runner"],
            "use_case_digest": record["use_case_digest"],
            "git_revision": record["git_revision"],
            "version": (registration or monitoring or {}).get("version"),
            "gate_passed": gate["passed"] if gate else None,
            "breached": monitoring["breached"] if monitoring else None,
            "steps": as_text([{name: step[name] for name in _STEP} for step in record["steps"]]),
            "directory": key,
        },
    )
    if metrics:
        yield from _metrics(record, metrics)
    if registered:
        yield from _compute(record, registered)
    if monitoring:
        for window in monitoring["windows"]:
            yield from _window(record["run_id"], monitoring, window)


def _metrics(record: dict[str, Any], metrics: dict[str, Any]) -> Rows:
    key = {"use_case": record["use_case"], "kind": "run", "subject": record["run_id"]}
    for target, values in metrics["targets"].items():
        for name, value in flatten(values):
            if (finite := number(value)) is not None:
                yield METRICS, {**key, "target": target, "name": name, "value": finite}


def _compute(record: dict[str, Any], registered: dict[str, Any]) -> Rows:
    """Yield the compute that a training took, as the documents of its version state it."""
    key = {"use_case": record["use_case"], "kind": "run", "subject": record["run_id"]}
    for name, value in (registered.get("compute") or {}).items():
        if (finite := number(value)) is not None:
            yield METRICS, {**key, "target": "", "name": f"compute.{name}", "value": finite}


def _window(run: str, monitoring: dict[str, Any], window: dict[str, Any]) -> Rows:
    key = {"run": run, "start": window["start"]}
    yield (
        WINDOWS,
        {
            **key,
            "use_case": monitoring["use_case"],
            "stop": window["stop"],
            "version": monitoring["version"],
            "rows": window["rows"],
            "judged": window["judged"],
            "breach": window["breach"],
            "drifted": window["drifted"],
            "reasons": as_text(window["reasons"]),
        },
    )
    for target, values in window["targets"].items():
        yield (
            WINDOW_TARGETS,
            {
                **key,
                "target": target,
                "rows": values["rows"],
                **{name: number(values.get(name)) for name in ("mae", "rmse", "bias", "coverage")},
                "baseline_mae": number(values.get("persistence_mae")),
                "estimated_mae": number((values.get("estimated") or {}).get("mae")),
            },
        )
    for feature in (window["drift"] or {}).get("features", []):
        yield WINDOW_COLUMNS, {**key, "output": "", **_column(feature)}
    for output, parts in (window.get("outputs") or {}).items():
        for part in ("target", "prediction", "residual"):
            if isinstance(found := parts.get(part), dict) and "name" in found:
                yield WINDOW_COLUMNS, {**key, "output": output, **_column(found)}


def _column(feature: dict[str, Any]) -> dict[str, Any]:
    return {
        "column": feature["name"],
        "role": feature["role"],
        "drifted": feature["drifted"],
        "score": number(feature.get("score")),
        "p_value": number(feature.get("p_value")),
        "cause": feature.get("cause"),
        "missing_rate": number((feature.get("statistics") or {}).get("missing_rate")),
    }


def _document(place: str, read: Callable[[], bytes]) -> _Document:
    try:
        document = parse_json(read())
    except (OSError, ValueError) as error:
        raise HistoryError(f"{place}: cannot be read ({error}); remove its run directory or restore it") from error
    if not isinstance(document, dict):
        raise HistoryError(f"{place}: not a JSON object; remove its run directory or restore it")
    return document
