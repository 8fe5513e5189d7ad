"""Alarms that the agent finds by itself: monitoring results that breach or are stale, and failed runs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from almanac.core.errors import AlmanacError
from operations.agent.alarms import Alarm
from operations.agent.ledger import Ledger
from operations.agent.redaction import without_secrets
from operations.agent.site import Site

#: Failed runs older than this are history.
_NEWS = timedelta(days=1)
_MONITORING, _RUN = "monitoring", "run"


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
    yield from _failures(site, ledger, now)


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
        open_ones = _open_alarms(ledger, _MONITORING, name)
        if not holds:
            for alarm in open_ones:
                yield replace(alarm, state="resolved")
        elif not open_ones:
            summary = without_secrets("; ".join(map(str, reasons)))[:300]
            words = (_MONITORING, name, site.use_case, "firing", "ticket", monitored.run, summary)
            yield Alarm(*words, {"area": "model"}, monitored.place)


def _failures(site: Site, ledger: Ledger, now: datetime) -> Iterator[Alarm]:
    for failed in site.failures(now - _NEWS):
        if failed.gate_closed or site.is_over(failed):
            continue
        summary = without_secrets(f"{failed.kind}: {failed.error}")[:300]
        labels = {"area": "run", "version": failed.step}
        yield Alarm(_RUN, "RunFailed", site.use_case, "firing", "ticket", failed.run, summary, labels, failed.place)
    for alarm in _open_alarms(ledger, _RUN, "RunFailed"):
        failure = site.failure(alarm.path)
        if failure is None or now - failure.when > _NEWS or site.is_over(failure):
            yield replace(alarm, state="resolved")


def _open_alarms(ledger: Ledger, source: str, name: str) -> list[Alarm]:
    alarms = [episode.alarm for episode in ledger.episodes.values() if not episode.resolved]
    return [alarm for alarm in alarms if (alarm.source, alarm.name) == (source, name)]
