"""Alarms that the agent finds by itself: monitoring results that breach or are stale, and failed runs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from almanac.core.files import read_json
from operations.agent.alarms import Alarm
from operations.agent.ledger import Ledger
from operations.agent.redaction import without_secrets
from orchestration.rundir import FAILURES

#: Failed runs older than this are history.
_NEWS = timedelta(days=1)


def found(runs: Path, use_case: str, ledger: Ledger, now: datetime) -> Iterator[Alarm]:
    """Yield the alarms that the run directories of a use case give, and the ends of those that the ledger has.

    Args:
        runs: directory of run directories.
        use_case: name of the use case.
        ledger: what the journal says already.
        now: the present.
    """
    yield from _monitoring(runs / use_case, use_case, ledger)
    yield from _failures(runs / use_case, use_case, now)


def _monitoring(home: Path, use_case: str, ledger: Ledger) -> Iterator[Alarm]:
    latest = home / "monitoring" / "latest"
    document, record = _read(latest / "monitoring.json"), _read(latest / "run.json")
    if not document or not record:
        return
    stale = bool((document.get("staleness") or {}).get("stale"))
    newest = (document.get("windows") or [{}])[-1]
    reasons = list(newest.get("reasons", [])) + (["the data are stale"] if stale else [])
    for name, holds in (("MonitoringBreach", bool(document["breached"])), ("MonitoringStale", stale)):
        open_ones = [
            episode.alarm
            for episode in ledger.episodes.values()
            if episode.alarm.source == "monitoring" and episode.alarm.name == name and not episode.resolved
        ]
        if not holds:
            for alarm in open_ones:
                yield Alarm(**{**vars(alarm), "state": "resolved"})
        elif not open_ones:
            path, started = str((latest / "monitoring.json").resolve()), str(record["run_id"])
            summary = without_secrets("; ".join(map(str, reasons)))[:300]
            yield Alarm("monitoring", name, use_case, "firing", "ticket", started, summary, {"area": "model"}, path)


def _failures(home: Path, use_case: str, now: datetime) -> Iterator[Alarm]:
    for folder in (home / FAILURES, home / "monitoring" / FAILURES, home / "batch" / FAILURES):
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            record = _read(path)
            try:
                failed = datetime.fromisoformat(str(record["failed_at"])).astimezone(UTC)
                started = str(record["run_id"])
            except (KeyError, ValueError):
                continue
            if now - failed > _NEWS:
                continue
            summary = without_secrets(f"{record.get('kind', 'run')}: {record.get('error', '')}")[:300]
            labels = {"area": "run", "version": str(record.get("step", ""))}
            yield Alarm("run", "RunFailed", use_case, "firing", "ticket", started, summary, labels, str(path))


def _read(path: Path) -> dict[str, Any]:
    # A file that is written now, or that somebody has broken, is looked at again at the next time.
    try:
        document = read_json(path)
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
