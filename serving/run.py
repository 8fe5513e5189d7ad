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

from components.common.errors import AlmanacError, ServingError
from serving.build import Server, build
from serving.http.protocol import Protocol
from serving.operate.ready import say_ready
from serving.operate.scrape import shared_directory
from serving.operate.seed import seed
from serving.operate.watch import follow_keys, follow_promotions, share_unloaded
from serving.settings import Settings

_LINGER_SECONDS = 1.0
_FLUSH_SECONDS = 0.5


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
        server.app, http=Protocol, loop="none", lifespan="off", access_log=False, log_config=None,
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
    server.state.open()
    await asyncio.sleep(0)
    print(_announcement(server, sock, grpc[1] if grpc else None), flush=True)
    say_ready()
    background = [asyncio.create_task(work) for work in _background(server)]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (*background, stopping):
        task.cancel()
    await _drain(server, http)
    await asyncio.gather(serving, *([grpc[0].stop(settings.grace_seconds)] if grpc else []))
    await asyncio.gather(*background, return_exceptions=True)
    await server.close()


async def _grpc(server: Server) -> tuple[Any, int] | None:
    if server.settings.grpc_port is None:
        return None
    from serving.rpc.listener import start_grpc

    return await start_grpc(server)


def _background(server: Server) -> list[Coroutine[Any, Any, None]]:
    settings, repository = server.settings, server.repository
    work = [
        _warm(server),
        follow_promotions(repository, server.source, settings.poll_seconds, server.metrics),
        follow_keys(server.guard, settings.keys),
    ]
    shared = shared_directory()
    if shared is not None:
        work.append(_flush(server))
        work.append(share_unloaded(repository, shared / "unloaded.json"))
    if settings.drift_seconds:
        work.append(server.drift.run(settings.drift_seconds))
    return work


async def _flush(server: Server) -> None:
    """Let whichever worker is scraped see the counts of this one."""
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        server.tally.flush()


async def _warm(server: Server) -> None:
    """Open the feature engine and store behind the first answers, fill an empty store, and say how to ask."""
    bundle = server.repository.traffic.primary
    try:
        await asyncio.get_running_loop().run_in_executor(None, server.features.warm, bundle)
        newest = await seed(server.settings, bundle, server.features)
    except AlmanacError as error:
        logging.getLogger("almanac.serving").warning("features are not computed here: %s", error)
        return
    if newest is not None and server.settings.listen_fd is None:
        print(_curl(server, *newest), flush=True)


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
