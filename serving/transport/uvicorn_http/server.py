"""The uvicorn server, and how it ends."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from serving.transport.sockets import take_no_more
from serving.transport.uvicorn_http.protocol import Protocol

if TYPE_CHECKING:
    from serving.transport.app import App

_LINGER_SECONDS = 1.0
_POLL_SECONDS = 0.02
_HANDSHAKE_SECONDS = 0.1


class HTTPServer(uvicorn.Server):
    """uvicorn without its signal handlers: the drain decides when it ends.

    Args:
        app: the application.
        grace_seconds: how long requests may take to end after the drain.
        tls: certificate chain and private key as PEM files; None for plain HTTP.
    """

    def __init__(self, app: "App", grace_seconds: float, tls: tuple[Path, Path] | None) -> None:
        certificate, key = tls or (None, None)
        # No access log, no lifespan, no proxy headers: each costs time on every request.
        config = uvicorn.Config(
            app, http=Protocol, ws="none", loop="none", lifespan="off", access_log=False, log_config=None,
            server_header=False, proxy_headers=False, timeout_keep_alive=75, h11_max_incomplete_event_size=65536,
            timeout_graceful_shutdown=int(grace_seconds), backlog=2048, ssl_certfile=certificate, ssl_keyfile=key,
        )  # fmt: skip
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the caller."""
        yield

    async def finish(self, listening: socket.socket, shared: bool) -> None:
        """Accept no more connections, and end once the open ones are answered.

        A connection that was accepted a moment ago may not have sent its request yet: it is given a second to, and is
        closed after its answer.

        Args:
            listening: a copy of the listening socket, which is closed.
            shared: whether others go on accepting from it.
        """
        if not shared:
            take_no_more(listening)
            # Those whose handshake was under way are accepted as ever.
            await asyncio.sleep(_HANDSHAKE_SECONDS)
        for listener in getattr(self, "servers", []):
            listener.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + _LINGER_SECONDS
        # The listener lets go of the socket in the next round.
        await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            await self._take_queued(listening)
        while self.server_state.connections and loop.time() < end:
            await asyncio.sleep(_POLL_SECONDS)
        self.should_exit = True

    async def _take_queued(self, listening: socket.socket) -> None:
        """Take the connections that wait in the kernel's queue, which would reset them, and close the socket."""
        loop = asyncio.get_running_loop()
        listening.setblocking(False)
        waiting: list[socket.socket] = []
        # Nothing is awaited between the last look and the close: a connection in between would be reset.
        with listening:
            while True:
                try:
                    waiting.append(listening.accept()[0])
                except BlockingIOError:
                    break
                except OSError:  # its client went away
                    continue
        for connection in waiting:
            connection.setblocking(False)
        taken = [loop.connect_accepted_socket(self._protocol, one, ssl=self.config.ssl) for one in waiting]
        await asyncio.wait_for(asyncio.gather(*taken, return_exceptions=True), _LINGER_SECONDS)

    def _protocol(self) -> asyncio.Protocol:
        return Protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
