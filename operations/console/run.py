"""Serving the console."""

import socket

import uvicorn

from almanac.core.errors import ConsoleError
from governance.registration import actor
from operations.console.app import build
from operations.console.settings import ConsoleSettings


def serve(settings: ConsoleSettings, host: str, port: int) -> None:
    """Serve the console until a signal ends it.

    Without keys and a provider it prints a link that logs its reader in once.

    Raises:
        ConsoleError: the port is taken, or nobody could log in.
    """
    local = host in ("127.0.0.1", "::1", "localhost")
    if settings.keys is None and settings.oidc is None and not local:
        raise ConsoleError(
            f"--host {host}: others can reach it, so that it needs --keys or --oidc; `almanac console key` makes a key"
        )
    app = build(settings)
    listener = _listen(host, port)
    address = f"http://{host}:{listener.getsockname()[1]}"
    print(f"console on {address}", flush=True)
    if settings.keys is None and settings.oidc is None:
        # The link's token is in no log: the server's own log of requests is off.
        print(f"log in by {address}/login?token={app.state.room.links.issue(actor(), 'admin')}", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConsoleError(f"--port {port}: cannot listen on {host} ({error.strerror})") from None
