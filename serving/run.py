"""One server process: socket, event loop, drain."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any

import uvicorn

from almanac.core.errors import AlmanacError, ServingError
from serving.build import Server, build
from serving.operations.hot_reload import follow_keys, follow_promotions, share_repository
from serving.operations.scrape import shared_directory
from serving.operations.warmup import history_file, reader, seed
from serving.runtime.ready import say_ready
from serving.settings import Settings
from serving.transport.uvicorn_protocol import Protocol

_LINGER_SECONDS = 1.0
_FLUSH_SECONDS = 0.5
_READY_LOOK_SECONDS = 0.1


def run(settings: Settings) -> None:
    """Serve until a signal ends it.

    Raises:
        AlmanacError: it cannot start; the message says why.
    """
    certificates_exist(settings)
    server = build(settings)
    import uvloop

    # What is loaded by now lives as long as the process: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()
    # A thread that works on a large request lets the event loop go on sooner than after the usual 5 ms.
    sys.setswitchinterval(0.0005)
    sock = listen(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(server, sock))


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket: a new one, or the one that the supervisor handed over.

    Raises:
        ServingError: the address is taken or not of this machine.
    """
    if settings.listen_fd is not None:
        return socket.socket(fileno=settings.listen_fd)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.host, settings.http_port))
    except OSError as error:
        sock.close()
        raise ServingError(f"--http-port {settings.http_port}: {settings.host} {error.strerror}") from error
    sock.listen(2048)
    sock.set_inheritable(True)
    return sock


async def serve(server: Server, sock: socket.socket) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT, then drain."""
    settings = server.settings
    config = uvicorn.Config(
        server.app, http=Protocol, ws="none", loop="none", lifespan="off", access_log=False, log_config=None,
        server_header=False, proxy_headers=False, timeout_keep_alive=75, h11_max_incomplete_event_size=65536,
        timeout_graceful_shutdown=int(settings.grace_seconds), backlog=2048,
        ssl_certfile=settings.tls_cert, ssl_keyfile=settings.tls_key,
    )  # fmt: skip
    http = _Server(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server.port = int(sock.getsockname()[1])
    serving = asyncio.create_task(http.serve(sockets=[sock]))
    grpc = await _grpc(server)
    opening = asyncio.create_task(_open(server, sock, grpc[1] if grpc else None))
    opening.add_done_callback(lambda done: stop.set() if not done.cancelled() and done.exception() else None)
    background = [asyncio.create_task(work) for work in _background(server)]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (opening, *background, stopping):
        task.cancel()
    await _drain(server, http)
    await asyncio.gather(serving, *([grpc[0].stop(settings.grace_seconds)] if grpc else []))
    opened, *_ = await asyncio.gather(opening, *background, return_exceptions=True)
    await server.close()
    if isinstance(opened, Exception):
        raise opened


async def _grpc(server: Server) -> tuple[Any, int] | None:
    if server.settings.grpc_port is None:
        return None
    from serving.transport.grpc_listener import start_grpc

    return await start_grpc(server)


def _background(server: Server) -> list[Coroutine[Any, Any, None]]:
    settings, repository = server.settings, server.repository
    work = [
        follow_promotions(repository, server.source, settings.poll_seconds, server.metrics),
        follow_keys(server.guard, settings.keys),
    ]
    shared = shared_directory()
    if shared is not None:
        work.append(_flush(server))
        work.append(share_repository(repository, shared / "repository.json", server.metrics))
    if settings.drift_seconds:
        work.append(_watch_drift(server))
    return work


async def _watch_drift(server: Server) -> None:
    """Watch for drift once the server is ready: to open the profiles takes the processor from what it waits for."""
    while not server.state.ready:
        await asyncio.sleep(_READY_LOOK_SECONDS)
    await server.drift.run(server.settings.drift_seconds)


async def _flush(server: Server) -> None:
    """Let whichever worker is scraped see the counts of this one."""
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        server.tally.flush()


async def _open(server: Server, sock: socket.socket, grpc_port: int | None) -> None:
    """Say that the server is ready: with history for requests by entity, where there is some, and not before.

    Rows by name are answered meanwhile. Without history nothing is waited for, and what requests by entity need is
    opened behind the first answers.
    """
    path = history_file(server.settings, server.repository.traffic.primary.use_case)
    newest = await _warm(server, path) if path is not None else None
    server.state.open()
    await asyncio.sleep(0)
    print(_announcement(server, sock, grpc_port), flush=True)
    say_ready()
    if newest is not None and server.settings.listen_fd is None:
        print(_curl(server, *newest), flush=True)
    if path is None:
        await _warm(server, None)


async def _warm(server: Server, history: Path | None) -> tuple[str, str] | None:
    """Open the feature engine and store, and fill it; return entity and time of the newest row of the history."""
    bundle, features = server.repository.traffic.primary, server.features
    opening = asyncio.get_running_loop().run_in_executor(None, features.warm, bundle)
    try:
        if history is None:
            await opening
            return None
        async with reader() as child:  # it gets ready meanwhile
            await opening
            return await seed(child, history, bundle, features)
    except AlmanacError as error:
        logging.getLogger("almanac.serving").warning("features are not computed here: %s", error)
        return None


def _curl(server: Server, entity: str, time: str) -> str:
    scheme = "https" if server.settings.tls_cert else "http"
    key = ' -H "X-API-Key: $ALMANAC_API_KEY"' if server.settings.auth == "required" else ""
    body = f'{{"instances": [{{"entity": "{entity}", "time": "{time}"}}]}}'
    url = f"{scheme}://{server.settings.host}:{server.port}/v1/models/{server.repository.traffic.primary.use_case}:predict"
    return f"curl {url}{key} -H 'Content-Type: application/json' -d '{body}'"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the drain decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def _drain(server: Server, http: uvicorn.Server) -> None:
    """Say not ready, answer on while balancers notice, take no more connections, and finish what has begun.

    A worker takes no more connections at once, since the others accept from the same socket. A connection that was
    taken a moment ago may not have sent its request yet; it is given the time to, and is closed after its answer.
    """
    server.state.drain()
    if server.settings.listen_fd is None:
        await asyncio.sleep(server.settings.drain_seconds)
    for listener in getattr(http, "servers", []):
        listener.close()
    end = asyncio.get_running_loop().time() + _LINGER_SECONDS
    while http.server_state.connections and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.02)
    http.should_exit = True


def _announcement(server: Server, sock: socket.socket, grpc_port: int | None) -> str:
    host, port = sock.getsockname()[:2]
    scheme = "https" if server.settings.tls_cert else "http"
    bundle = server.repository.traffic.primary
    line = f"{bundle.use_case} version {bundle.version} on {scheme}://{host}:{port}"
    return line if grpc_port is None else f"{line}, gRPC on {host}:{grpc_port}"


def certificates_exist(settings: Settings) -> None:
    """Raise ServingError when a TLS file is missing."""
    for path in (settings.tls_cert, settings.tls_key):
        if isinstance(path, Path) and not path.is_file():
            raise ServingError(f"{path}: no such file; --tls-cert and --tls-key take PEM files")
