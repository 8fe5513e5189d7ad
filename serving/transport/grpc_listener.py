"""The gRPC server, on the event loop of the HTTP one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]

from almanac.core.errors import ServingError
from serving.protocol.grpc_calls import Calls

#: Calls at a time, those that wait for their turn among them; grpc refuses more with RESOURCE_EXHAUSTED.
_MOST_CALLS = 1024


@dataclass(frozen=True)
class GRPCOptions:
    """Options of the gRPC server.

    Attributes:
        host: address to listen on.
        port: port; 0 picks a free one.
        max_message: largest message in bytes.
        reuse_port: whether several workers listen on the port.
        tls: certificate chain and private key as PEM files; None for plain gRPC.
    """

    host: str
    port: int
    max_message: int
    reuse_port: bool
    tls: tuple[Path, Path] | None


async def start_grpc(calls: Calls, options: GRPCOptions) -> tuple[Any, int]:
    """Start the gRPC server and return it with its port.

    Raises:
        ServingError: the port is taken.
    """
    # Each worker opens a gRPC socket of its own, and the kernel divides the connections.
    channel_options = [
        ("grpc.max_receive_message_length", options.max_message),
        ("grpc.so_reuseport", int(options.reuse_port)),
    ]
    listener = grpc.aio.server(options=channel_options, maximum_concurrent_rpcs=_MOST_CALLS)
    listener.add_generic_rpc_handlers((calls,))
    address = f"{options.host}:{options.port}"
    try:
        if options.tls is None:
            port = listener.add_insecure_port(address)
        else:
            certificate, key = (path.read_bytes() for path in options.tls)
            port = listener.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
    # grpc reports a taken port as a RuntimeError.
    except RuntimeError as error:
        raise ServingError(f"--grpc-port {options.port}: {error}") from error
    await listener.start()
    return listener, int(port)
