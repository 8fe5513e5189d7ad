"""The listening socket."""

import socket

from almanac.core.errors import ServingError


def listen(host: str, port: int, fd: int | None = None) -> socket.socket:
    """Return the listening socket: a new one, or the one at the file descriptor that a supervisor passed.

    Raises:
        ServingError: the address is taken or not of this machine.
    """
    if fd is not None:
        return socket.socket(fileno=fd)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ServingError(f"--http-port {port}: {host} {error.strerror}") from error
    sock.listen(2048)
    # For the workers that the supervisor starts.
    sock.set_inheritable(True)
    return sock
