"""The cost of a computation: processor time, elapsed time, memory, and the machine that it runs on."""

import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Assumed power of a busy processor core with its share of memory, in watts; cooling and losses are left out.
WATTS_PER_CORE = 10.0


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """Yield a dictionary that gets the resources used by this process and its children when the block ends.

    Its entries: cpu_seconds and wall_seconds of the block; peak_memory_bytes of the process so far; processors that it
    may use; processor, its name; platform. Workers on other machines are not counted.
    """
    usage: dict[str, Any] = {}
    started, before = time.perf_counter(), _cpu_seconds()
    yield usage
    usage |= {
        "cpu_seconds": round(_cpu_seconds() - before, 3),
        "wall_seconds": round(time.perf_counter() - started, 3),
        "peak_memory_bytes": _peak_memory(),
        "processors": _processors(),
        "processor": _processor(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _peak_memory() -> int:
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _processors() -> int:
    # A container may use fewer than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or "unknown"
