"""Memory, processor time and open files of the server's processes, read from /proc at each scrape.

prometheus_client has a collector for one process; a scrape of several workers must add them up.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitoring.metrics import CPU_SECONDS, OPEN_FILES, PROCESSES, RESIDENT_MEMORY

_PROC = Path("/proc")
#: Places in /proc/<pid>/stat after the command in brackets; see proc(5).
_STAT_PARENT, _STAT_USER, _STAT_SYSTEM, _STAT_PAGES = 1, 11, 12, 21


class Resources(Collector):
    """Collects memory, processor time and open files of a set of processes; nothing without /proc.

    Args:
        processes: returns the ids of the processes, at each scrape.
    """

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """Yield the four metrics, summed over the processes."""
        if not _PROC.is_dir():
            return
        uses = [use for pid in self._processes() if (use := _use(pid)) is not None]
        sums = [sum(column) for column in zip(*uses, strict=True)] or [0.0, 0.0, 0.0]
        yield GaugeMetricFamily(PROCESSES.name, PROCESSES.help, len(uses))
        yield GaugeMetricFamily(RESIDENT_MEMORY.name, RESIDENT_MEMORY.help, sums[0])
        yield CounterMetricFamily(CPU_SECONDS.name, CPU_SECONDS.help, sums[1])
        yield GaugeMetricFamily(OPEN_FILES.name, OPEN_FILES.help, sums[2])


def this_process() -> list[int]:
    """Return the id of this process."""
    return [os.getpid()]


def workers_of_this() -> list[int]:
    """Return the ids of this worker's supervisor and of all its workers."""
    parent = os.getppid()
    pids = [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()]
    return [parent, *(pid for pid in pids if (stat := _stat(pid)) and int(stat[_STAT_PARENT]) == parent)]


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None  # it has just ended
    # The command may hold spaces and brackets of its own; after the last bracket all fields are plain.
    return text.rpartition(")")[2].split()


def _use(pid: int) -> tuple[float, float, float] | None:
    """Return resident bytes, processor seconds and open files of a process, None where it has ended."""
    stat = _stat(pid)
    if stat is None:
        return None
    try:
        files = sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return None
    ticks = float(stat[_STAT_USER]) + float(stat[_STAT_SYSTEM])
    return float(stat[_STAT_PAGES]) * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"), float(files)
