"""Figures of a running server: two looks at its metrics, and the usual values before."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from prometheus_client.parser import text_string_to_metric_families

from monitoring import metrics as m

Labels = Mapping[str, str]
#: Requests that somebody waits for; probes and scrapes would hide errors.
_ASKED = frozenset({"predict", "infer", "explain", "ingest", "feedback", "ModelInfer"})
#: Shares of the requests, seconds and factors at which a figure is at the border of the usual.
_FAILED, _REFUSED, _SURGE, _FALL, _SLOW, _GROWN, _BUSY, _STORE_SECONDS = 0.01, 0.05, 3.0, 10.0, 5.0, 1.5, 0.9, 0.025
#: Requests a second below which nothing is said of traffic.
_QUIET = 0.2
#: Figure of a fact that is or is not.
_YES = 4.0


@dataclass(frozen=True)
class Scrape:
    """The metrics of a server at one moment.

    Attributes:
        at: seconds of a steady clock.
        samples: name, labels and value of each sample; None where the server did not answer.
    """

    at: float
    samples: tuple[tuple[str, Labels, float], ...] | None

    @classmethod
    def parse(cls, at: float, text: str) -> "Scrape":
        """Return a scrape of Prometheus' text format."""
        families = text_string_to_metric_families(text)
        return cls(at, tuple((s.name, s.labels, s.value) for family in families for s in family.samples))

    def total(self, name: str, holds: Callable[[Labels], bool] = lambda labels: True) -> float:
        """Return the sum of the samples of a name whose labels hold; 0 without any."""
        return sum(value for found, labels, value in self.samples or () if found == name and holds(labels))

    def values(self, name: str, holds: Callable[[Labels], bool] = lambda labels: True) -> list[float]:
        """Return the values of the samples of a name whose labels hold."""
        return [value for found, labels, value in self.samples or () if found == name and holds(labels)]


class Scrapes:
    """The last scrapes of one server.

    Args:
        recent: seconds that count as now; what is older is what was usual.
        kept: scrapes that are kept.
    """

    def __init__(self, recent: float = 60.0, kept: int = 480) -> None:
        self.recent = recent
        self._scrapes: deque[Scrape] = deque(maxlen=kept)

    def add(self, scrape: Scrape) -> None:
        """Keep a scrape."""
        self._scrapes.append(scrape)

    def figures(self) -> dict[str, float]:
        """Return the figures of the service by name; each is 1 at the border of the usual."""
        if not self._scrapes:
            return {}
        now = self._scrapes[-1]
        if now.samples is None:
            return {"service.down": _YES}
        answered = [scrape for scrape in self._scrapes if scrape.samples is not None]
        # Counters of a server that was started again begin at zero.
        since = [s for s in answered if s.total(m.REQUESTS.name) <= now.total(m.REQUESTS.name)]
        recent = [scrape for scrape in since if now.at - scrape.at <= self.recent]
        first = recent[0] if len(recent) > 1 else since[-2] if len(since) > 1 else now
        earlier = [scrape for scrape in answered if scrape.at <= first.at]
        return dict(_figures(now, first, earlier))


def _figures(now: Scrape, first: Scrape, earlier: list[Scrape]) -> Iterator[tuple[str, float]]:
    yield from _facts(now, first)
    yield from _resources(now, first, earlier)
    seconds = now.at - first.at
    if seconds <= 0:
        return
    asked = _grown(now, first, m.REQUESTS.name, _is_asked)
    if asked > 0:
        yield from _shares(now, first, asked)
    yield from _traffic(asked / seconds, earlier)
    slow = _mean(now, first, m.STORE_LATENCY.name)
    if slow is not None:
        yield "service.store_slow", slow / _STORE_SECONDS
    yield from _latency(now, first, earlier)


def _facts(now: Scrape, first: Scrape) -> Iterator[tuple[str, float]]:
    available = now.values(m.REDIS_AVAILABLE.name)
    if available:
        yield "service.redis_away", _YES if min(available) == 0 else 0.0
    yield "service.store_errors", _grown(now, first, m.STORE_ERRORS.name) / 2
    yield "service.log_failing", _YES * max(now.values(m.LOG_FAILING.name), default=0.0)
    yield "service.log_dropped", _grown(now, first, m.LOG_DROPPED.name)
    yield "service.restarts", _YES * min(1.0, _grown(now, first, m.WORKER_STARTS.name, _has(reason="ended")))
    yield "service.canary_failed", _YES * max(now.values(m.CANARY_STATE.name, _has(state="failed")), default=0.0)
    yield "service.swap_failed", _YES * min(1.0, _grown(now, first, m.MODEL_SWAPS.name, _has(result="failed")))
    ready = now.values(m.USE_CASE_READY.name)
    if ready:
        yield "service.not_loaded", _YES if min(ready) == 0 else 0.0
    # An excess whose lower end is above zero is beyond its bound, whatever the verdict says yet.
    excess = now.values(m.CANARY_EXCESS.name, _has(end="low"))
    if excess:
        yield "service.canary_excess", _YES if max(excess) > 0 else 0.0


def _shares(now: Scrape, first: Scrape, asked: float) -> Iterator[tuple[str, float]]:
    def share(holds: Callable[[Labels], bool]) -> float:
        return _grown(now, first, m.REQUESTS.name, lambda labels: _is_asked(labels) and holds(labels)) / asked

    yield "service.failed", share(lambda labels: labels["code"].startswith("5")) / _FAILED
    yield "service.refused_rows", share(lambda labels: labels["code"] in ("400", "404", "409", "413", "422")) / _REFUSED
    yield "service.refused_keys", _grown(now, first, m.UNAUTHENTICATED.name) / asked / _REFUSED
    yield "service.limited", _grown(now, first, m.RATE_LIMITED.name) / asked / _REFUSED


def _traffic(rate: float, earlier: list[Scrape]) -> Iterator[tuple[str, float]]:
    rates = [
        _grown(new, old, m.REQUESTS.name, _is_asked) / (new.at - old.at)
        for old, new in pairwise(earlier)
        if new.at > old.at and new.total(m.REQUESTS.name) >= old.total(m.REQUESTS.name)
    ]
    if len(rates) < 3:
        return
    before = median(rates)
    yield "service.surge", rate / (_SURGE * max(before, _QUIET))
    yield "service.silence", before / (_FALL * max(rate, 0.01 * _QUIET)) if before > _QUIET else 0.0


def _resources(now: Scrape, first: Scrape, earlier: list[Scrape]) -> Iterator[tuple[str, float]]:
    workers = [value for scrape in earlier if (value := scrape.total(m.PROCESSES.name)) > 0]
    if workers:
        yield "service.workers_lost", _YES if now.total(m.PROCESSES.name) < median(workers) else 0.0
    resident = [value for scrape in earlier if (value := scrape.total(m.RESIDENT_MEMORY.name)) > 0]
    if len(resident) >= 3:
        yield "service.memory", now.total(m.RESIDENT_MEMORY.name) / (_GROWN * median(resident))
    seconds, processes = now.at - first.at, now.total(m.PROCESSES.name)
    if seconds > 0 and processes > 0:
        yield "service.busy", _grown(now, first, m.CPU_SECONDS.name) / seconds / (_BUSY * processes)


def _latency(now: Scrape, first: Scrape, earlier: list[Scrape]) -> Iterator[tuple[str, float]]:
    newest = _mean(now, first, m.LATENCY.name)
    before = _mean(earlier[-1], earlier[0], m.LATENCY.name) if len(earlier) > 1 else None
    if newest is not None and before:
        yield "service.slow", newest / (_SLOW * before)


def _mean(now: Scrape, first: Scrape, name: str) -> float | None:
    count = _grown(now, first, f"{name}_count")
    return _grown(now, first, f"{name}_sum") / count if count > 0 else None


def _grown(now: Scrape, first: Scrape, name: str, holds: Callable[[Labels], bool] = lambda labels: True) -> float:
    return max(0.0, now.total(name, holds) - first.total(name, holds))


def _is_asked(labels: Labels) -> bool:
    return labels.get("verb") in _ASKED


def _has(**wanted: str) -> Callable[[Labels], bool]:
    return lambda labels: all(labels.get(name) == value for name, value in wanted.items())
