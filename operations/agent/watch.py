"""Alarms that the agent finds by itself: monitoring results that breach or are stale, and failed runs."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from almanac.core.errors import AlmanacError
from operations.agent.alarms import Alarm
from operations.agent.evidence.failures import read_failure
from operations.agent.ledger import Ledger
from operations.agent.redaction import without_secrets
from operations.agent.site import Site
from orchestration.rundir import FAILURES

#: Failed runs older than this are history.
_NEWS = timedelta(days=1)


def found(site: Site, ledger: Ledger, now: datetime, say: Callable[[str], None] = lambda line: None) -> Iterator[Alarm]:
    """Yield the alarms that the runs of a use case give, and the ends of those that the ledger has.

    Args:
        site: the use case with its runs.
        ledger: what the journal says already.
        now: the present.
        say: called with the error of a result that cannot be read; other alarms do not wait until it is mended.
    """
    try:
        yield from _monitoring(site, ledger)
    except AlmanacError as error:
        say(f"{site.use_case}: {without_secrets(str(error))}")
    yield from _failures(site.runs / site.use_case, site.use_case, now)


def _monitoring(site: Site, ledger: Ledger) -> Iterator[Alarm]:
    monitored = site.monitored()
    if monitored is None or not monitored.run:
        return
    with monitored.reading() as document:
        stale = bool((document.get("staleness") or {}).get("stale"))
        newest = (document.get("windows") or [{}])[-1]
        reasons = list(newest.get("reasons", [])) + (["the data are stale"] if stale else [])
        breached = bool(document["breached"])
    for name, holds in (("MonitoringBreach", breached), ("MonitoringStale", stale)):
        open_ones = [
            episode.alarm
            for episode in ledger.episodes.values()
            if episode.alarm.source == "monitoring" and episode.alarm.name == name and not episode.resolved
        ]
        if not holds:
            for alarm in open_ones:
                yield Alarm(**{**vars(alarm), "state": "resolved"})
        elif not open_ones:
            summary = without_secrets("; ".join(map(str, reasons)))[:300]
            words = ("monitoring", name, site.use_case, "firing", "ticket", monitored.run, summary)
            yield Alarm(*words, {"area": "model"}, monitored.place)


def _failures(home: Path, use_case: str, now: datetime) -> Iterator[Alarm]:
    for folder in (home / FAILURES, home / "monitoring" / FAILURES, home / "batch" / FAILURES):
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            record = read_failure(path)
            try:
                failed = datetime.fromisoformat(str(record["failed_at"])).astimezone(UTC)
                started = str(record["run_id"])
            except (KeyError, ValueError, OverflowError):
                continue
            if now - failed > _NEWS:
                continue
            summary = without_secrets(f"{record.get('kind', 'run')}: {record.get('error', '')}")[:300]
            labels = {"area": "run", "version": str(record.get("step", ""))}
            yield Alarm("run", "RunFailed", use_case, "firing", "ticket", started, summary, labels, str(path))
