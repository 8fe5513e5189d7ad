"""Redis that dies while connections to it are opened: each is reset, and a client may write to one that was."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from serving.features.store.base import StoreUnavailableError
from serving.features.store.redis import RedisStore
from serving.security.limits import Rate, RedisLimiter, Verdict

#: Clients, and connections that each opens at once: which of them are written to after their reset is up to chance.
_CLIENTS, _CONNECTIONS = 10, 40


@pytest.fixture
def address() -> Iterator[str]:
    """Return the address of a listener that resets each connection."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def reset() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            # Closed with a linger of no seconds, a connection is reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    thread = threading.Thread(target=reset)
    thread.start()
    yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def _together(calls: Callable[[], Coroutine[Any, Any, list[Any]]]) -> list[Any]:
    """Return the answers to the calls of all clients, one client after the other."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return [answer for _ in range(_CLIENTS) for answer in runner.run(calls())]


def test_limits_are_kept_by_this_process(address: str) -> None:
    async def take() -> list[Any]:
        limiter = RedisLimiter(address)
        calls = [limiter.take("ann", Rate(1000.0, 1.0)) for _ in range(_CONNECTIONS)]
        verdicts = await asyncio.gather(*calls, return_exceptions=True)
        await limiter.close()
        return verdicts

    assert all(isinstance(verdict, Verdict) and verdict.allowed for verdict in _together(take))


def test_the_store_is_unavailable(address: str) -> None:
    async def ask() -> list[Any]:
        store = RedisStore(address, "rows", width=1)
        calls = [store.newest("default") for _ in range(_CONNECTIONS)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await store.close()
        return answers

    assert {type(answer) for answer in _together(ask)} == {StoreUnavailableError}
