"""Memory, processor or disk run short."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against, alarm, figure
from operations.agent.evidence import Evidence

_NAMES = (
    "alarm",
    "short",
    "surge",
    "store",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from alarm(evidence, "AlmanacLogFailing", "AlmanacLogLinesDropped", "AlmanacSlowEngine", "AlmanacNotReady")
    short = {
        "service.log_failing": "a log cannot be written",
        "service.log_dropped": "log lines were dropped",
        "service.restarts": "a worker ended and was replaced",
        "service.workers_lost": "fewer workers than usual",
        "service.memory": "memory over what was usual",
        "service.busy": "processor time over what there is",
        "service.down": "the server does not answer",
        "run.memory": "the run ran out of memory",
        "run.killed": "the run's container was killed, or never ran",
        "run.disk": "the run ran out of disk",
    }
    yield from figure("short", evidence, short)
    yield from against("surge", evidence, {"service.surge": "requests over what was usual"})
    store = {"service.redis_away": "the store is away", "service.store_slow": "time of the store's operations"}
    yield from against("store", evidence, store)


KIND = Cause("resources", "Resources run short", _NAMES, _signs)
