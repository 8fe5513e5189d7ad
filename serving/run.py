"""One server process: socket, event loop, drain."""

import asyncio
import gc
import json
import logging
import os
import shlex
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from almanac.core.errors import AlmanacError
from almanac.model.bundle import Bundle
from serving.build import Server, build, grpc_calls
from serving.operations.clock import watch_clock
from serving.operations.hot_reload import follow_keys, follow_promotions, share_repository
from serving.operations.metrics import publish_libraries, shared_directory
from serving.operations.warmup import history_file, reader, seed
from serving.runtime.errors import HTTPError
from serving.runtime.readiness import PARENT_FD, RETIRE, report_ready, report_waiting
from serving.settings import Settings
from serving.transport.sockets import listen
from serving.transport.uvicorn_http import HTTPServer

_FLUSH_SECONDS = 0.5
_COLLECT_SECONDS = 10.0
#: Rounds that a full collection waits for a moment without a long request.
_COLLECT_WAITS = 12
_READY_POLL_SECONDS = 0.1
#: Seconds before a store that did not answer at the start is asked again: the first pause, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_LOG = logging.getLogger("almanac.serving")


def run(settings: Settings) -> None:
    """Serve until a signal ends it.

    Raises:
        AlmanacError: the server cannot start.
    """
    server = build(settings)
    # Imported here: the supervisor of several workers runs no event loop.
    import uvloop

    # What is loaded by now lives as long as the process: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()
    # A full collection walks the objects of a long request again and again, and holds up all others; see `_collect`.
    # The young objects are those of requests whose audit lines wait, and nearly all end by themselves.
    gc.set_threshold(10_000, gc.get_threshold()[1], 1_000_000)
    # A thread that works on a large request then yields to the event loop sooner than after the usual 5 ms.
    sys.setswitchinterval(0.0005)
    sock = listen(settings.host, settings.http_port, settings.listen_fd)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(server, sock))


async def serve(server: Server, sock: socket.socket) -> None:
    """Serve on a listening socket until a signal, then drain.

    SIGTERM and SIGINT drain the server, and so does the end of a worker's supervisor. SIGUSR2 retires a worker whose
    successor accepts already. SIGHUP has nothing to do: log files are opened again once they are rotated, and keys and
    promotions are followed.
    """
    settings = server.settings
    # Its last connections are taken from this copy, since the server's own is closed first.
    listening = sock.dup()
    http = HTTPServer(server.app, settings.grace_seconds, settings.tls)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    retired = asyncio.Event()
    loop.add_signal_handler(RETIRE, _set, retired, stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: _LOG.info("nothing to do on SIGHUP: files and keys are followed"))
    if (parent := os.environ.pop(PARENT_FD, None)) is not None:
        loop.add_reader(int(parent), stop.set)  # the end of the supervisor
    # Port 0 was a request for a free one.
    server.port = int(sock.getsockname()[1])
    # Before the first request: a part of a history would be taken for the whole.
    histories = _announce_histories(server)
    serving = asyncio.create_task(http.serve(sockets=[sock]))
    grpc = await _start_grpc(server)
    opening = asyncio.create_task(_open(server, sock, grpc[1] if grpc else None, histories))
    # An error while opening ends the server; it is raised after the drain.
    opening.add_done_callback(lambda done: stop.set() if not done.cancelled() and done.exception() else None)
    background = [asyncio.create_task(work) for work in _background(server)]
    stopping = asyncio.create_task(stop.wait())
    # `serving` ends by itself only if uvicorn could not start.
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (opening, *background, stopping):
        task.cancel()
    await _drain(server, http, listening, retired)
    await asyncio.gather(serving, *([grpc[0].stop(settings.grace_seconds)] if grpc else []))
    # The others end by cancellation; an error of `_open` is the reason why the server could not start.
    opened, *_ = await asyncio.gather(opening, *background, return_exceptions=True)
    await server.close()
    if isinstance(opened, Exception):
        raise opened


def _set(*events: asyncio.Event) -> None:
    for event in events:
        event.set()


async def _start_grpc(server: Server) -> tuple[Any, int] | None:
    settings = server.settings
    if settings.grpc_port is None:
        return None
    from serving.transport.grpc_listener import GRPCOptions, start_grpc

    options = GRPCOptions(settings.host, settings.grpc_port, settings.max_message, settings.workers > 1, settings.tls)
    return await start_grpc(grpc_calls(server), options)


def _background(server: Server) -> list[Coroutine[Any, Any, None]]:
    settings, repository = server.settings, server.repository
    work = [
        *(follow_promotions(repository, one, settings.poll_seconds, server.metrics) for one in repository.use_cases),
        _collect(server),
        follow_keys(server.guard, settings.keys),
        server.canaries.run(),
        server.maintenance.run(),
        watch_clock(server.metrics),
    ]
    shared = shared_directory()
    if shared is not None:
        work.append(_flush(server))
        work.append(share_repository(repository, shared / "repository.json", server.metrics))
    if settings.drift_seconds:
        work.append(_compute_drift(server))
    return work


async def _compute_drift(server: Server) -> None:
    """Compute drift metrics once the server is ready: loading the profiles would delay that."""
    while not server.state.ready:
        await asyncio.sleep(_READY_POLL_SECONDS)
    await server.drift.run(server.settings.drift_seconds)


async def _collect(server: Server) -> None:
    """Collect garbage at moments when few objects are alive."""
    waited = 0
    while True:
        await asyncio.sleep(_COLLECT_SECONDS)
        waited += 1
        if not server.in_flight.held or waited > _COLLECT_WAITS:
            gc.collect()
            waited = 0


async def _flush(server: Server) -> None:
    """Flush the batched counters regularly, since another worker may answer the scrape."""
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        server.counters.flush()


def _announce_histories(server: Server) -> dict[str, Path]:
    """Refuse requests by entity until their history is read, and return the table of each use case that has one."""
    histories = {}
    for use_case in dict.fromkeys(bundle.use_case for bundle in server.repository.bundles):
        if (path := history_file(server.settings, use_case)) is not None:
            histories[use_case] = path
            server.feature_sets.of(use_case).filling = str(path)
            # One worker says it for all others.
            if server.settings.listen_fd is None:
                print(f"{use_case}: reads its history from {path}; requests by entity are a 503 until then", flush=True)
    return histories


async def _open(server: Server, sock: socket.socket, grpc_port: int | None, histories: dict[str, Path]) -> None:
    """Report ready once the store answers and has the history for entity requests, if there is any.

    Rows by name are answered meanwhile. With an empty store in memory nothing is waited for: the feature engine and the
    store are opened behind the first answers.
    """
    bundles, in_memory = server.repository.bundles, server.settings.feature_store == "memory://"
    later = {one.use_case for one in bundles if in_memory and one.use_case not in histories}
    newest = {
        one.use_case: await _warm(server, one, histories.get(one.use_case))
        for one in bundles
        if one.use_case not in later
    }
    server.state.open()
    # The first pending answers go out before the announcement.
    await asyncio.sleep(0)
    for bundle in bundles:
        print(_announcement(server, bundle, sock, grpc_port), flush=True)
    report_ready()
    # One worker's example would be repeated by all others.
    for use_case, found in newest.items():
        if found is not None and server.settings.listen_fd is None:
            print(_curl(server, use_case, found), flush=True)
    for bundle in (one for one in bundles if one.use_case in later):
        await _warm(server, bundle, None)


async def _warm(server: Server, bundle: Bundle, history: Path | None) -> dict[str, Any] | None:
    """Open the feature engine and store, and fill it; return the request that asks for the newest row of the history.

    A store that does not answer is asked again until it does.
    """
    pause, features = _FIRST_PAUSE, server.feature_sets.of(bundle.use_case)
    while True:
        try:
            newest = await _warm_once(server, bundle, history)
            features.filling = ""
            return newest
        except HTTPError as error:
            if not server.state.waits_for:
                _LOG.warning("not ready: %s", error)
                report_waiting()
            server.state.waits_for = str(error)
        except AlmanacError as error:
            _LOG.warning("features are not computed here: %s", error)
            features.filling = ""
            return None
        finally:
            publish_libraries(server.metrics)  # here those of the trees and of the features have been asked for
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _warm_once(server: Server, bundle: Bundle, history: Path | None) -> dict[str, Any] | None:
    features = server.feature_sets.of(bundle.use_case)
    opening = asyncio.get_running_loop().run_in_executor(None, features.warm, bundle)
    if history is None:
        await opening
        await features.ask_store()
        return None
    async with reader() as child:  # the process starts while the engine opens
        await opening
        return await seed(child, history, bundle, features)


async def _drain(server: Server, http: HTTPServer, listening: socket.socket, retired: asyncio.Event) -> None:
    """Report not ready, answer on while load balancers notice, then finish the open connections.

    A retired worker accepts no more connections at once, since its successor accepts from the same socket.
    """
    server.state.drain()
    with suppress(TimeoutError):
        await asyncio.wait_for(retired.wait(), server.settings.drain_seconds)
    await http.finish(listening, shared=retired.is_set())


def _announcement(server: Server, bundle: Bundle, sock: socket.socket, grpc_port: int | None) -> str:
    host, port = sock.getsockname()[:2]
    line = f"{bundle.use_case} version {bundle.version} on {_scheme(server)}://{host}:{port}"
    return line if grpc_port is None else f"{line}, gRPC on {host}:{grpc_port}"


def _curl(server: Server, use_case: str, request: dict[str, Any]) -> str:
    settings = server.settings
    key = ' -H "X-API-Key: $ALMANAC_API_KEY"' if settings.auth == "required" else ""
    body = shlex.quote(json.dumps({"instances": [request]}, ensure_ascii=False))
    path = f"v1/models/{use_case}:predict"
    url = f"{_scheme(server)}://{settings.host}:{server.port}/{path}"
    return f"curl {url}{key} -H 'Content-Type: application/json' -d {body}"


def _scheme(server: Server) -> str:
    return "https" if server.settings.tls else "http"
