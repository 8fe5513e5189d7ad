"""The gRPC server beside the HTTP one, on the same event loop."""

from typing import Any

import grpc  # type: ignore[import-untyped]

from almanac.core.errors import ServingError
from serving.build import Server
from serving.protocol.grpc_servicer import Servicer
from serving.settings import Settings


async def start_grpc(server: Server) -> tuple[Any, int]:
    """Start the gRPC server and return it with its port.

    Raises:
        ServingError: the port is taken.
    """
    settings = server.settings
    options = [
        ("grpc.max_receive_message_length", settings.max_body),
        ("grpc.so_reuseport", 1 if settings.workers > 1 else 0),
    ]
    listener = grpc.aio.server(options=options)
    listener.add_generic_rpc_handlers((Servicer(server).handler(),))
    address = f"{settings.host}:{settings.grpc_port}"
    try:
        port = _bind(listener, address, settings)
    except RuntimeError as error:
        raise ServingError(f"--grpc-port {settings.grpc_port}: {error}") from error
    await listener.start()
    return listener, port


def _bind(listener: Any, address: str, settings: Settings) -> int:
    if settings.tls_cert is None or settings.tls_key is None:
        return int(listener.add_insecure_port(address))
    pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    return int(listener.add_secure_port(address, grpc.ssl_server_credentials([pair])))
