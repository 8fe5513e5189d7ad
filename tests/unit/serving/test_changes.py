"""A change is finished even if its client goes away; other work stops."""

import asyncio
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

from monitoring.metrics import Metrics
from serving.protocol.router import Route, Router
from serving.runtime.batched_counters import BatchedCounters
from serving.runtime.http import Reply, Request
from serving.security.guard import Guard
from serving.security.keys import KeyRing
from serving.security.limits import MemoryLimiter
from serving.transport.app import App
from serving.transport.fast_path import Head
from serving.transport.headers import HeaderPolicy
from serving.transport.limits import Limits
from serving.transport.web_guard import CHANGES


@pytest.mark.parametrize("verb", [*sorted(CHANGES), "predict"])
def test_only_a_change_goes_on_without_its_client(verb: str) -> None:
    done: list[str] = []

    async def handle(request: Request) -> Reply:
        await asyncio.sleep(0.01)
        done.append(request.verb)
        return Reply(b"")

    router, metrics = Router([Route("POST", "/path", handle, verb, "admin", "v2")]), Metrics(CollectorRegistry())
    guard = Guard("off", KeyRing(), {}, MemoryLimiter(), metrics)
    limits = Limits(1 << 14, 1.0, 1.0)
    app = App(router, guard, metrics, BatchedCounters(), HeaderPolicy(False, ()), limits, lambda: False, [])

    async def leave() -> None:
        answer = app.answer_whole(Head("/path", {b"content-type": b"application/json"}, 2), b"{}", "client", [])
        assert not isinstance(answer, bytes)
        task = asyncio.ensure_future(answer)
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)

    asyncio.run(leave())
    assert done == ([verb] if verb in CHANGES else [])
