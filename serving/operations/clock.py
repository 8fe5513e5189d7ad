"""Watch the wall clock, by which keys expire and logs are dated, for jumps."""

import asyncio
import logging
import time

from monitoring.metrics import CLOCK_STEPS, Metrics

_SECONDS = 0.5
#: Jumps from this size on are counted: a clock that is adjusted slowly never moves so far between two looks.
_LEAST = 1.0
_LOG = logging.getLogger("almanac.serving")


async def watch_clock(metrics: Metrics) -> None:
    """Count and log jumps of the wall clock against the monotonic one."""
    steps = metrics.counter(CLOCK_STEPS)
    for direction in ("back", "forward"):
        steps.labels(direction).inc(0)
    offset = time.time() - time.monotonic()
    while True:
        await asyncio.sleep(_SECONDS)
        now = time.time() - time.monotonic()
        jump, offset = now - offset, now
        if abs(jump) >= _LEAST:
            steps.labels("forward" if jump > 0 else "back").inc()
            _LOG.warning("the clock jumped by %.1f s", jump)
